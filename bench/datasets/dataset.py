"""What every corpus offers: named splits, tracks loaded one at a time, and a digest of each."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from bench import audio
from bench.errors import BenchError, check_known
from bench.track import TARGETS, Audio, LazyTracks, Recording, Track

SPLITS = ("train", "dev", "test")


class Groups(NamedTuple):
    """The groups that a track belongs to. Scores within a group are alike.

    Attributes
    ----------
    song
        Name of its song: the track's own name where a track is a song.
    singer
        Name of its singer or artist; empty where the corpus does not tell.
    """

    song: str
    singer: str


class Tracks(LazyTracks):
    """The tracks of a split."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        self.dataset, self.split = dataset, split
        self.names = dataset.names(split)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Track:
        """Load the track at an index from 0."""
        return self.dataset.load(self.split, self.names[index])


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
        Tracks of each split in the complete corpus; empty where there is no such number.
    KNOWN
        Names of all tracks of a split, where they are known.
    LABELS
        Where its labels of pitch lie; empty for a corpus without.
    SHARES_AUDIO
        Whether its licence lets a report that is passed on carry excerpts of its audio.
    """

    TITLE: ClassVar[str]
    CITATION: ClassVar[str]
    LICENCE: ClassVar[str]
    SOURCE: ClassVar[str]
    FULL_SIZES: ClassVar[Mapping[str, int]]
    KNOWN: ClassVar[Mapping[str, Collection[str]]] = {}
    LABELS: ClassVar[str] = ""
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

    def label_fingerprint(self, name: str) -> str:
        """Return what stands for the labels of one track; by default there are none."""
        return ""

    def groups(self, name: str) -> Groups:
        """Return the song and the singer of a track; by default every track is a song."""
        return Groups(name, "")

    def test_groups(self) -> dict[str, Groups]:
        """Return the song and the singer of every test track, by its name."""
        return {name: self.groups(name) for name in self.names("test")}

    def probe(self, split: str, name: str) -> None:
        """Check one track as far as that is cheap; by default it is loaded whole.

        Raises
        ------
        BenchError
            The track is missing or damaged.
        """
        self.load(split, name)

    def rate(self) -> int:
        """Return the sampling rate of the first test track, in hertz."""
        return self.load("test", self.names("test")[0]).rate

    def tracks(self, split: str) -> Tracks:
        """Return the tracks of `split`, loaded when asked for."""
        return Tracks(self, split)

    def digest(self, part: str) -> str:
        """Return the SHA-256 of the names and contents of a part of the corpus, in hexadecimal.

        Parameters
        ----------
        part
            A split, for its audio; or a split and `LABELS`, as ``train labels``, for its labels.

        Raises
        ------
        BenchError
            A track is damaged: every one is probed on the way.
        """
        sha = hashlib.sha256()
        split, _, labels = part.partition(" ")
        for name in self.names(split):
            if labels:
                content = self.label_fingerprint(name)
            else:
                self.probe(split, name)
                content = self.fingerprint(split, name)
            sha.update(f"{name}\0{content}\n".encode())
        return sha.hexdigest()


def check_split(split: str) -> None:
    """Refuse a split that no corpus has.

    Raises
    ------
    BenchError
        With the nearest known name.
    """
    check_known("split", split, SPLITS)


def chosen(names: Sequence[str], split: str, looked_for: str, remedy: str) -> list[str]:
    """Return the names that were found of a split, sorted; there may be no dev tracks.

    Raises
    ------
    BenchError
        There are none to train on, or none to test.
    """
    if not names and split != "dev":
        raise BenchError(f"no {split} tracks: looked for {looked_for}; {remedy}")
    return sorted(names)


def artist_of(name: str) -> str:
    """Return the artist in ``ARTIST - TITLE``; empty where the name has another form.

    Examples
    --------
    >>> artist_of("Music Delta - 80s Rock"), artist_of("song")
    ('Music Delta', '')
    """
    artist, dash, _ = name.partition(" - ")
    return artist if dash else ""


def streamed(name: str, parts: Mapping[str, Sequence[Path]]) -> Track:
    """Return a track whose targets are sums of WAV or FLAC files, read when they are asked for.

    Parameters
    ----------
    name
        Name of the track.
    parts
        For each target its files.

    Raises
    ------
    BenchError
        A file is missing or damaged, or two differ in rate, channels or length.
    """
    paths = [path for target in TARGETS for path in parts[target]]
    headers = {path: audio.header(path) for path in paths}
    first = headers[paths[0]]
    for path, header in headers.items():
        if header != first:
            raise BenchError(
                f"{path} has {header.n_channels} channel(s) of {header.n_samples} samples at "
                f"{header.rate} Hz where {paths[0].name} has {first.n_channels} of "
                f"{first.n_samples} at {first.rate} Hz"
            )

    def read(target: str, start: int, n_samples: int) -> Audio:
        total = audio.read_audio(parts[target][0], start, n_samples)
        for path in parts[target][1:]:
            total += audio.read_audio(path, start, n_samples)
        return total

    recording = Recording(name, lambda: (first.n_channels, first.n_samples), read)
    if first.n_samples < 1:
        raise BenchError(f"{paths[0]} is empty: it holds no samples")
    return Track(name, first.rate, recording)


def sha256(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of the contents of files, one after the other; memory holds a block."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def equal_energy(name: str, rate: int, sources: Mapping[str, Audio]) -> Track:
    """Return a track whose sources each have unit L2 norm: a mixture at 0 dB.

    Parameters
    ----------
    name, rate
        Name of the track, and its sampling rate in hertz.
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
