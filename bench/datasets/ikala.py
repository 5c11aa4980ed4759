"""iKala: 252 clips of 30 s of Chinese karaoke, accompaniment and voice on separate channels.

Layout: ``iKala/Wavfile/SONG_PART.wav``, a song's number of five digits and ``chorus`` or ``verse``,
44.1 kHz stereo, left (channel 0) the accompaniment, right (channel 1) the voice. Levels are left as
they were recorded. There is no official split of the public clips; ours goes by song: numbers 2xxxx
train, 1xxxx dev, all others test.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from bench import audio
from bench.datasets.dataset import Dataset, Groups, check_split, chosen, sha256
from bench.errors import BenchError
from bench.track import Audio, Recording, Track

_CHANNELS = {"accompaniment": 0, "vocals": 1}
#: Split by the first digit of the song's number; all others test.
_SPLIT_OF_DIGIT = {"2": "train", "1": "dev"}


class IKala(Dataset):
    """The public clips of iKala."""

    TITLE: ClassVar = "iKala"
    CITATION: ClassVar = (
        "T.-S. Chan, T.-C. Yeh, Z.-C. Fan, H.-W. Chen, L. Su, Y.-H. Yang, R. Jang: Vocal activity "
        "informed singing voice separation with the iKala dataset, ICASSP 2015."
    )
    LICENCE: ClassVar = "for research, by agreement with its authors; not to be redistributed"
    SOURCE: ClassVar = "ask its authors (Academia Sinica) for iKala and unpack it there"
    FULL_SIZES: ClassVar = {"train": 46, "dev": 8, "test": 198}

    def path(self, name: str) -> Path:
        """Return the file of a clip."""
        return self.root / "iKala" / "Wavfile" / f"{name}.wav"

    def names(self, split: str) -> list[str]:
        """Return the clips of `split`; see `Dataset.names`."""
        check_split(split)
        pattern = self.path("*")
        stems = [path.stem for path in pattern.parent.glob(pattern.name)]
        remedy = f"{self.SOURCE}, or name the folder that holds iKala by --data or BENCH_DATA"
        of_split = [name for name in stems if _split_of(name) == split]
        return chosen(of_split, split, str(pattern), remedy)

    def groups(self, name: str) -> Groups:
        """Return the song of a clip, ``SONG_PART``; its singer is not told by its name."""
        return Groups(name.partition("_")[0], "")

    def load(self, split: str, name: str) -> Track:
        """Return a clip whose channels are read when they are asked for; see `Dataset.load`."""
        path = self.path(name)
        header = audio.header(path)
        if header.n_channels != 2:
            raise BenchError(
                f"iKala: {path} has {header.n_channels} channel(s), not 2; unpack it anew"
            )

        def read(target: str, start: int, n_samples: int) -> Audio:
            channel = _CHANNELS[target]
            return audio.read_audio(path, start, n_samples)[channel : channel + 1]

        return Track(name, header.rate, Recording(name, lambda: (1, header.n_samples), read))

    def fingerprint(self, split: str, name: str) -> str:
        """Return the SHA-256 of the file."""
        return sha256([self.path(name)])


def _split_of(name: str) -> str | None:
    """Return the split of a clip by its name, ``SONG_PART``; None for any other file.

    Examples
    --------
    >>> _split_of("21025_verse"), _split_of("10161_chorus"), _split_of("45305_verse")
    ('train', 'dev', 'test')
    """
    if re.fullmatch(r"\d{5}_(chorus|verse)", name) is None:
        return None
    return _SPLIT_OF_DIGIT.get(name[0], "test")
