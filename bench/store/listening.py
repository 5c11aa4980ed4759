"""Excerpts of a few test tracks as every cell separates them: to be looked at and listened to.

They are made again from what a cell has learnt and kept as 16 bit FLAC in its folder,
``runs/<fingerprint>/examples``, mixtures and references in ``runs/examples``. No score is made
from them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.methods import chunks
from bench.store.cell_folder import CellFolder, write_bytes
from bench.store.estimates import kept as kept_estimates
from bench.store.trained import load_method
from bench.track import TARGETS, Audio, Track

#: Seconds of an excerpt at most, and peak of its mixture: estimates may be louder.
EXCERPT_S, PEAK = 10.0, 0.7
#: Raise it with every change of what is cut or how loud it is.
VERSION = 1


@dataclass(frozen=True)
class ListeningClip:
    """Where a track is cut, and how much louder it is made: the same for all of its signals.

    Attributes
    ----------
    key
        Names its files.
    start, stop
        Samples.
    gain
        What brings the mixture's peak to `PEAK`.
    rate
        Hertz.
    """

    key: str
    start: int
    stop: int
    gain: float
    rate: int

    def cut(self, audio: Audio) -> bytes:
        """Return the excerpt of audio ``(channels, samples)`` as FLAC, clipped to full scale."""
        import soundfile

        sink = io.BytesIO()
        signal = np.clip(self.gain * audio[:, self.start : self.stop], -1, 1)
        soundfile.write(sink, signal.T, self.rate, format="FLAC", subtype="PCM_16")
        return sink.getvalue()


def listening_clip(track: Track, digest: str) -> ListeningClip:
    """Return the excerpt of a track: the `EXCERPT_S` in which its voice is loudest.

    `digest` is that of the split.
    """
    length = min(int(EXCERPT_S * track.rate), track.n_samples)
    energy = np.square(track.references["vocals"]).sum(axis=0)
    sums = np.cumsum(np.concatenate([[0.0], energy]))
    starts = np.arange(0, track.n_samples - length + 1, max(1, track.rate // 2))
    start = int(starts[np.argmax(sums[starts + length] - sums[starts])])
    stop = start + length
    peak = float(np.abs(track.mixture[:, start:stop]).max())
    text = f"{VERSION}\0{digest}\0{track.name}"
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return ListeningClip(key, start, stop, PEAK / peak if peak > 0 else 1.0, track.rate)


def truth(runs: Path, track: Track, cut: ListeningClip) -> Mapping[str, Path]:
    """Return the files of a track's mixture and references, made if they are not there."""
    signals = {"mixture": track.mixture, **track.references}
    return kept(runs / "examples", cut, lambda: signals, tuple(signals))


def estimates(
    folder: CellFolder, track: Track, cut: ListeningClip, device: str = "cpu"
) -> Mapping[str, Path] | None:
    """Return the files of a cell's estimates of a track, made if they are not there.

    None where the cell cannot separate: it is not done, its estimates were made elsewhere, or what
    it has learnt is gone.
    """
    if not folder.is_done():
        return None
    try:
        return kept(
            folder.path / "examples",
            cut,
            lambda: again(folder, track, device),
            TARGETS,
        )
    except BenchError:
        return None


def again(folder: CellFolder, track: Track, device: str) -> Mapping[str, Audio]:
    """Return a cell's estimates of a track: those that it has kept, or made again."""
    found = kept_estimates(folder, track)
    return found[0] if found else chunks.separate_track(load_method(folder).to(device), track)


def kept(
    folder: Path, cut: ListeningClip, make: Callable[[], Mapping[str, Audio]], names: Sequence[str]
) -> Mapping[str, Path]:
    """Return the files of signals by name; where any is missing, all are made."""
    paths = {name: folder / f"{cut.key}-{name}.flac" for name in names}
    if not all(map(is_readable, paths.values())):
        folder.mkdir(parents=True, exist_ok=True)
        for name, audio in make().items():
            write_bytes(paths[name], cut.cut(audio))
    return paths


def is_readable(path: Path) -> bool:
    """Tell whether a file of audio is there and whole."""
    import soundfile

    try:
        soundfile.read(path)
    except (OSError, soundfile.SoundFileError):
        return False
    return True
