"""Training clips of MIR-1K held out: where choices are made, so that no test clip makes one.

Both corpora hold the 175 clips of the two training singers alone. A constant, an architecture or an
epoch is chosen by an experiment on them, and the official test split is for reports.

    mir1k_held_out_songs    tests on `_HELD_OUT_SONGS` of both singers, trains on their other songs
    mir1k_held_out_singer   tests on all clips of abjones, trains on amy

The official dev clips of the singers that train stay dev. None of them belongs to a held-out song.
"""

from __future__ import annotations

from typing import ClassVar

from bench.datasets.mir1k import DEV_CLIPS, MIR1K

#: Every fourth song of amy from her second, and one of the five songs of abjones: 42 clips.
_HELD_OUT_SONGS = ("abjones_3", "amy_2", "amy_6", "amy_10", "amy_14")
#: The singer with fewer clips: the other one is left for training.
_HELD_OUT_SINGER = "abjones"


class HeldOutSongs(MIR1K):
    """Training clips of MIR-1K, five songs of them held out for testing."""

    TITLE: ClassVar = "MIR-1K, training songs held out"
    FULL_SIZES: ClassVar = {"train": 129, "dev": 4, "test": 42}

    def _split_of(self, name: str) -> str | None:
        """Return the split of a clip by its song; None for a clip of a test singer."""
        official = super()._split_of(name)
        if official != "train":
            return None if official == "test" else official
        song, _, _ = name.rpartition("_")
        return "test" if song in _HELD_OUT_SONGS else "train"


class HeldOutSinger(MIR1K):
    """Training clips of MIR-1K, one of the two singers held out for testing."""

    TITLE: ClassVar = "MIR-1K, a training singer held out"
    FULL_SIZES: ClassVar = {"train": 130, "dev": 2, "test": 43}
    KNOWN: ClassVar = {"dev": tuple(name for name in DEV_CLIPS if name.startswith("amy_"))}

    def _split_of(self, name: str) -> str | None:
        """Return the split of a clip by its singer; None for a clip of a test singer."""
        official = super()._split_of(name)
        if official == "test":
            return None
        is_held_out = name.startswith(f"{_HELD_OUT_SINGER}_")
        return "test" if official and is_held_out else official
