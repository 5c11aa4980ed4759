"""MIR-1K: 1,000 clips of Chinese karaoke, accompaniment and voice on separate channels.

Layout: ``MIR-1K/Wavfile/SINGER_SONG_CLIP.wav``, 16 kHz, 16 bit stereo, left (channel 0) the
accompaniment, right (channel 1) the voice; ``MIR-1K/PitchLabel/SINGER_SONG_CLIP.pv``, semitones
every 20 ms, which may be missing; bounds read them, methods that learn to follow a voice, and the
protocol ``melody``. The split is that of Huang et al. (ISMIR 2014): the singers abjones and amy
train, four of their clips are the dev set, the 17 others test. Each source is divided by its own L2
norm, so that every mixture is at 0 dB. The loader takes the clips that it finds and passes over
files of other names; `FULL_SIZES` says how many there are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.audio import declared_size
from bench.datasets.dataset import Dataset, Groups, check_split, equal_energy
from bench.errors import BenchError
from bench.track import Track

RATE = 16_000
TRAIN_SINGERS = ("abjones", "amy")
_TEST_SINGERS = (
    "Ani", "Kenshin", "annar", "ariel", "bobon", "bug", "davidson", "fdps", "geniusturtle",
    "heycat", "jmzen", "khair", "leon", "stool", "tammy", "titon", "yifen",
)  # fmt: skip
DEV_CLIPS = ("abjones_5_08", "abjones_5_09", "amy_9_08", "amy_9_09")


class MIR1K(Dataset):
    """MIR-1K in its official layout and the split of Huang et al."""

    TITLE: ClassVar = "MIR-1K"
    CITATION: ClassVar = (
        "C.-L. Hsu and J.-S. R. Jang: On the improvement of singing voice separation for monaural "
        "recordings using the MIR-1K dataset. IEEE TASLP 18(2), 2010."
    )
    LICENCE: ClassVar = "for research; not to be redistributed"
    LABELS: ClassVar = "MIR-1K/PitchLabel/*.pv"
    SOURCE: ClassVar = (
        "get MIR-1K.zip from the Multimedia Information Retrieval laboratory (J.-S. R. Jang) and "
        "unpack it there"
    )
    FULL_SIZES: ClassVar = {"train": 171, "dev": 4, "test": 825}
    KNOWN: ClassVar = {"dev": DEV_CLIPS}

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.folder = root / "MIR-1K" / "Wavfile"

    def names(self, split: str) -> list[str]:
        """Return the clips of `split`; see `Dataset.names`."""
        check_split(split)
        stems = sorted(path.stem for path in self.folder.glob("*.wav"))
        names = [name for name in stems if self._split_of(name) == split]
        if not names:
            raise BenchError(
                f"MIR-1K: no {split} clips: looked for {self.folder}/*.wav and found "
                f"{len(stems)} WAV files; {self.SOURCE}, or name the folder that holds MIR-1K "
                "by --data or BENCH_DATA"
            )
        return names

    def _split_of(self, name: str) -> str | None:
        """Return the split of a clip by its name; None for a file that is no clip."""
        return split_of(name)

    def groups(self, name: str) -> Groups:
        """Return the song and the singer of a clip, ``SINGER_SONG_CLIP``; see `Dataset.groups`."""
        return Groups(name.rpartition("_")[0], name.partition("_")[0])

    def load(self, split: str, name: str) -> Track:
        """Load one clip at 0 dB; see `Dataset.load`."""
        import soundfile

        path = self.folder / f"{name}.wav"
        try:
            audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
            n_header = soundfile.info(path).frames
            n_bytes = path.stat().st_size
        except (OSError, soundfile.SoundFileError) as error:
            reason = str(error).rpartition(": ")[2]
            raise BenchError(f"MIR-1K: {path} cannot be read ({reason}); unpack it anew") from None
        if rate != RATE or audio.shape[1] != 2:
            raise BenchError(
                f"MIR-1K: {path} has {audio.shape[1]} channel(s) at {rate} Hz, not 2 at {RATE} Hz; "
                "unpack it anew"
            )
        if len(audio) < n_header or n_bytes < declared_size(path):
            raise BenchError(f"MIR-1K: {path} is cut short; unpack it anew")
        channels = {"accompaniment": audio[:, 0], "vocals": audio[:, 1]}
        track = equal_energy(name, rate, {target: a[None] for target, a in channels.items()})
        return dataclasses.replace(track, pitch=self.pitch(name))

    def pitch(self, name: str) -> NDArray[np.float64] | None:
        """Return the labelled pitch of a clip in semitones, None where there is no label.

        Raises
        ------
        BenchError
            The file holds anything but a number of semitones a line.
        """
        path = self.root / "MIR-1K" / "PitchLabel" / f"{name}.pv"
        if not path.is_file():
            return None
        try:
            labels = np.array(path.read_text().split(), dtype=np.float64)
        except ValueError:
            labels = np.full(1, np.nan)
        if not (np.isfinite(labels) & (labels >= 0)).all():
            raise BenchError(f"MIR-1K: {path} is not a list of semitones; unpack it anew")
        return labels

    def label_fingerprint(self, name: str) -> str:
        """Return the SHA-256 of the file of labels, nothing where there is none."""
        path = self.root / "MIR-1K" / "PitchLabel" / f"{name}.pv"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the file."""
        return hashlib.sha256((self.folder / f"{name}.wav").read_bytes()).hexdigest()


def split_of(name: str) -> str | None:
    """Return the split of a clip by its name, ``SINGER_SONG_CLIP``; None for any other file."""
    if name in DEV_CLIPS:
        return "dev"
    singer = re.fullmatch(r"([A-Za-z]+)_\d+_\d+", name)
    if singer is None:
        return None
    splits = dict.fromkeys(TRAIN_SINGERS, "train") | dict.fromkeys(_TEST_SINGERS, "test")
    return splits.get(singer[1])
