"""What every corpus offers: named splits, tracks loaded one at a time, and a digest of each."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, overload

import numpy as np

from bench.errors import BenchError, nearest
from bench.track import TARGETS, Audio, Track

SPLITS = ("train", "dev", "test")


class Tracks(Sequence[Track]):
    """The tracks of a split, each loaded when it is asked for: memory holds one at a time."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        self.dataset, self.split = dataset, split
        self.names = dataset.names(split)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> list[Track]: ...
    def __getitem__(self, index: int | slice) -> Track | list[Track]:
        if isinstance(index, slice):
            return [self.dataset.load(self.split, name) for name in self.names[index]]
        return self.dataset.load(self.split, self.names[index])

    def __iter__(self) -> Iterator[Track]:
        return (self.dataset.load(self.split, name) for name in self.names)


class Dataset(ABC):
    """A corpus.

    Parameters
    ----------
    root
        The folder that holds the corpora, each in a folder of its own name.

    Attributes
    ----------
    TITLE, CITATION, LICENCE, SOURCE
        What to print and to cite, and how to get it.
    FULL_SIZES
        Tracks of each split in the complete corpus.
    SHARES_AUDIO
        Whether its licence lets a report that is passed on carry excerpts of its audio.
    """

    TITLE: ClassVar[str]
    CITATION: ClassVar[str]
    LICENCE: ClassVar[str]
    SOURCE: ClassVar[str]
    FULL_SIZES: ClassVar[Mapping[str, int]]
    SHARES_AUDIO: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def names(self, split: str) -> list[str]:
        """Return the names of the tracks of `split` that are here, sorted.

        Raises
        ------
        BenchError
            The corpus is missing, or the split is unknown or empty.
        """

    @abstractmethod
    def load(self, split: str, name: str) -> Track:
        """Load one track.

        Raises
        ------
        BenchError
            The track is missing or damaged.
        """

    @abstractmethod
    def fingerprint(self, split: str, name: str) -> str:
        """Return what stands for the content of one track in the digest."""

    def tracks(self, split: str) -> Tracks:
        """Return the tracks of `split`, loaded when asked for."""
        return Tracks(self, split)

    def digest(self, split: str) -> str:
        """Return the SHA-256 of the names and contents of `split`, in hexadecimal.

        Raises
        ------
        BenchError
            A track is damaged: every one is loaded and checked on the way.
        """
        sha = hashlib.sha256()
        for name in self.names(split):
            self.load(split, name)
            sha.update(f"{name}\0{self.fingerprint(split, name)}\n".encode())
        return sha.hexdigest()


def check_split(split: str) -> None:
    """Refuse a split that no corpus has.

    Raises
    ------
    BenchError
        With the nearest known name.
    """
    if split not in SPLITS:
        raise BenchError(f"no split {split!r}; {nearest(split, SPLITS)}")


def equal_energy(name: str, rate: int, sources: Mapping[str, Audio]) -> Track:
    """Return a track whose sources each have unit L2 norm: a mixture at 0 dB.

    Parameters
    ----------
    name, rate
        Of the track.
    sources
        For each target, audio ``(channels, samples)``.

    Raises
    ------
    BenchError
        A source is silent, so that no gain brings it to 0 dB.
    """
    track = Track(name, rate, sources)
    norms = {target: float(np.linalg.norm(sources[target])) for target in TARGETS}
    for target, norm in norms.items():
        if norm == 0:
            raise BenchError(
                f"{target} of track {name!r} is silent and cannot be mixed at 0 dB; "
                "repair or remove the file"
            )
    return Track(name, rate, {t: track.references[t] / norms[t] for t in TARGETS})
