"""Clips to look at and listen to: three test tracks, as every cell separates them.

    runs/examples/<test split>.json                   the clips: which tracks, which samples
    runs/examples/<clip>-{mixture,vocals,...}.flac    the mixture and the references
    runs/<fingerprint>/examples/<clip>-<target>.flac  the estimates of a cell

The tracks are chosen before anything is separated, by the references alone: the ones whose sources
overlap least, at the median, and most in time and frequency. So every cell writes the clips of its
estimates while it separates, and no result has a part in the choice. No score is made from a clip.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from bench import stft
from bench.datasets.dataset import Dataset
from bench.store.cell_folder import CellFolder
from bench.store.files import make_folder, read_json, write_bytes, write_text
from bench.track import TARGETS, Audio, Track

#: Length of a clip in seconds at most, and peak of its mixture; estimates may be louder.
CLIP_S, PEAK = 10.0, 0.7
#: Length in seconds of the middle of a track on which the overlap of its sources is measured.
MEASURED_S = 60.0
#: Raise it with every change of how clips are chosen, cut or scaled.
CLIP_VERSION = 1
#: What the tracks are called, from the least to the greatest overlap of their sources.
ROLES = ("easy", "median", "hard")


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class ListeningClip:
    """A part of a test track, and the gain by which all of its signals are scaled.

    Attributes
    ----------
    role
        One of `ROLES`.
    track
        Name of the track.
    key
        Beginning of the names of its files.
    start, stop
        First sample, and the one after the last.
    gain
        Factor that brings the peak of the mixture to `PEAK`.
    rate
        Sampling rate in hertz.
    """

    role: Annotated[str, Field(pattern=rf"^({'|'.join(ROLES)})$")]
    track: str
    key: str
    start: Annotated[int, Field(ge=0)]
    stop: Annotated[int, Field(gt=0)]
    gain: Annotated[float, Field(gt=0)]
    rate: Annotated[int, Field(gt=0)]

    def encode(self, audio: Audio) -> bytes:
        """Return the clip of audio ``(channels, samples)`` as 16 bit FLAC, cut at full scale."""
        import soundfile

        sink = io.BytesIO()
        signal = np.clip(self.gain * audio[:, self.start : self.stop], -1, 1)
        soundfile.write(sink, signal.T, self.rate, format="FLAC", subtype="PCM_16")
        return sink.getvalue()


def spectral_overlap(track: Track) -> float:
    """Return the overlap of voice and accompaniment in time and frequency, from 0 to 1.

    ``2 sum min(|V|, |A|) / sum (|V| + |A|)`` over the bins of the middle `MEASURED_S` of the track,
    with V and A the spectrograms of the two sources.
    """
    n_samples = min(track.n_samples, int(MEASURED_S * track.rate))
    middle = track.excerpt((track.n_samples - n_samples) // 2, n_samples)
    voice, accompaniment = (np.abs(stft.forward(middle.references[t])) for t in TARGETS)
    total = float((voice + accompaniment).sum())
    return 2 * float(np.minimum(voice, accompaniment).sum()) / total if total > 0 else 0.0


def prepare_clips(runs: Path, dataset: Dataset, digest: str) -> Sequence[ListeningClip]:
    """Return the clips of a test split; choose them first, and write their references, if needed.

    Two processes that choose at once choose and write the same.

    Parameters
    ----------
    runs
        The folder that holds all cells.
    dataset
        The corpus.
    digest
        Digest of its test split.
    """
    known = read_clips(runs, digest)
    if known:
        return known
    names = dataset.names("test")
    overlaps = {name: spectral_overlap(dataset.load("test", name)) for name in names}
    order = sorted(names, key=lambda name: (overlaps[name], name))
    places = {"easy": 0, "median": (len(order) - 1) // 2, "hard": len(order) - 1}
    clips: list[ListeningClip] = []
    for role in ROLES:
        name = order[places[role]]
        if name not in [clip.track for clip in clips]:
            track = dataset.load("test", name)
            clips.append(_loudest(role, track, digest))
            write_clip(runs / "examples", clips[-1], {"mixture": track.mixture, **track.references})
    content = {"version": CLIP_VERSION, "clips": [asdict(clip) for clip in clips]}
    write_text(_list_of(runs, digest), json.dumps(content, indent=1) + "\n")
    return clips


def read_clips(runs: Path, digest: str) -> Sequence[ListeningClip]:
    """Return the clips that were chosen for a test split, by its digest.

    Empty if none were chosen, if their list is damaged, or if a file of a mixture or reference is
    missing.
    """
    content = read_json(_list_of(runs, digest)) or {}
    if content.get("version") != CLIP_VERSION:
        return ()
    try:
        clips = [ListeningClip(**clip) for clip in content["clips"]]
    except (KeyError, TypeError, ValidationError):
        return ()
    # The key is part of the name of a file, so another one is not taken from the list.
    are_whole = all(
        clip.key == _key(digest, clip.track)
        and all(path.is_file() for path in true_signals(runs, clip).values())
        for clip in clips
    )
    return clips if are_whole else ()


def write_clip(folder: Path, clip: ListeningClip, signals: Mapping[str, Audio]) -> None:
    """Write the clip of each signal, audio ``(channels, samples)`` by name."""
    make_folder(folder)
    for name, audio in signals.items():
        write_bytes(_file_of(folder, clip, name), clip.encode(audio))


def write_estimates(
    folder: CellFolder,
    clips: Sequence[ListeningClip],
    track: Track,
    estimates: Mapping[str, Audio],
) -> None:
    """Write the clip of a cell's estimates where the track is one of those to listen to."""
    for clip in clips:
        if clip.track == track.name:
            write_clip(folder.path / "examples", clip, {t: estimates[t] for t in TARGETS})


def true_signals(runs: Path, clip: ListeningClip) -> Mapping[str, Path]:
    """Return the file of the mixture and of each reference of a clip."""
    names = ("mixture", *TARGETS)
    return {name: _file_of(runs / "examples", clip, name) for name in names}


def estimate_files(
    folder: CellFolder, clips: Sequence[ListeningClip], target: str
) -> list[Path] | None:
    """Return the file of a cell's estimate of a target for each clip; None if one is missing."""
    paths = [_file_of(folder.path / "examples", clip, target) for clip in clips]
    return paths if all(path.is_file() for path in paths) else None


def _loudest(role: str, track: Track, digest: str) -> ListeningClip:
    """Return the clip of a track: the `CLIP_S` in which its voice has most energy."""
    length = min(int(CLIP_S * track.rate), track.n_samples)
    energy = np.square(track.references["vocals"]).sum(axis=0)
    sums = np.cumsum(np.concatenate([[0.0], energy]))
    starts = np.arange(0, track.n_samples - length + 1, max(1, track.rate // 2))
    start = int(starts[np.argmax(sums[starts + length] - sums[starts])])
    stop = start + length
    peak = float(np.abs(track.mixture[:, start:stop]).max())
    key = _key(digest, track.name)
    gain = PEAK / peak if peak > 0 else 1.0
    return ListeningClip(role, track.name, key, start, stop, gain, track.rate)


def _key(digest: str, track_name: str) -> str:
    """Return the beginning of the names of a clip's files, by the digest of its test split."""
    return hashlib.sha256(f"{CLIP_VERSION}\0{digest}\0{track_name}".encode()).hexdigest()[:16]


def _list_of(runs: Path, digest: str) -> Path:
    """Return the file that lists the clips of a test split."""
    return runs / "examples" / f"{digest[:16]}.json"


def _file_of(folder: Path, clip: ListeningClip, name: str) -> Path:
    """Return the file of one signal of a clip."""
    return folder / f"{clip.key}-{name}.flac"
