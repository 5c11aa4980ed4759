"""A piece of music with its true sources, and the array conventions that every room shares.

Audio is ``(channels, samples)``, a spectrogram or mask ``(channels, bins, frames)``: time is
last. ``rate`` is in hertz. The mixture is the sum of the references.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

#: What a mixture is separated into, in the order that every table and array keeps.
TARGETS = ("vocals", "accompaniment")

Audio = NDArray[np.float64]

#: Number of channels up to which audio may have fewer samples than channels.
MOST_CHANNELS = 32


#: Time between two labels of a voice's pitch in seconds; the first label belongs to one step after
#: the start.
LABEL_STEP_S = 0.02


class PitchTrack(NamedTuple):
    """The pitch of a voice over time.

    Attributes
    ----------
    times_s
        Points in time in seconds, ascending, ``(points,)``.
    hertz
        Pitch at each point, ``(points,)``: 0 where there is none, and negative where the voice is
        held to have none and its pitch would be the absolute value, as mir_eval reads it.
    """

    times_s: NDArray[np.float64]
    hertz: NDArray[np.float64]


def hertz_of(semitones: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return MIDI numbers as frequencies in hertz.

    Examples
    --------
    >>> hertz_of(np.array([57.0, 69.0]))
    array([220., 440.])
    """
    return np.asarray(440.0 * 2.0 ** ((semitones - 69.0) / 12.0))


@dataclass(frozen=True, eq=False)
class Track:
    """One piece: its name, sampling rate and the true audio of each target.

    Parameters
    ----------
    name
        Unique within its dataset.
    rate
        Sampling rate in hertz.
    references
        For each of `TARGETS`, float64 audio ``(channels, samples)``, all of one shape. A
        `Recording` leaves it in its files until it is asked for.
    pitch
        Labelled pitch of the voice in semitones (MIDI numbers, 0 where there is none) at 20 ms,
        40 ms and so on from the beginning of the whole piece; None where the corpus has no labels.
        Read by bounds, by methods that learn to follow a voice, and by the protocol ``melody``.
    start
        First sample of this track in the whole piece; above 0 for an excerpt.

    Raises
    ------
    BenchError
        A target is missing or unknown, shapes differ, there are no samples, or a sample is
        NaN or infinite.
    """

    name: str
    rate: int
    references: Mapping[str, Audio]
    pitch: NDArray[np.float64] | None = None
    start: int = 0

    def __post_init__(self) -> None:
        if tuple(sorted(self.references)) != tuple(sorted(TARGETS)):
            raise BenchError(
                f"track {self.name!r} has references {sorted(self.references)}, "
                f"but needs exactly {list(TARGETS)}"
            )
        if self.rate <= 0:
            raise BenchError(f"track {self.name!r} has a sampling rate of {self.rate} Hz")
        if isinstance(self.references, Recording):
            return  # checks each target as it is read
        shapes = {target: audio.shape for target, audio in self.references.items()}
        if len(set(shapes.values())) != 1:
            raise BenchError(f"references of track {self.name!r} differ in shape: {shapes}")
        for target, audio in self.references.items():
            check_audio(audio, f"{target} of track {self.name!r}")

    @property
    def mixture(self) -> Audio:
        """The sum of the references, ``(channels, samples)``."""
        total: Audio = np.sum([self.references[target] for target in TARGETS], axis=0)
        return total

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        if isinstance(self.references, Recording):
            return self.references.shape[-1]
        return int(next(iter(self.references.values())).shape[-1])

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        if isinstance(self.references, Recording):
            return self.references.shape[0]
        return int(next(iter(self.references.values())).shape[0])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate

    def labelled_pitch(self) -> PitchTrack | None:
        """Return the labels within this track, timed from its start; None without labels."""
        if self.pitch is None:
            return None
        times_s = LABEL_STEP_S * np.arange(1.0, len(self.pitch) + 1) - self.start / self.rate
        here = (times_s >= 0) & (times_s <= self.duration_s)
        hertz = np.where(self.pitch > 0, hertz_of(self.pitch), 0.0)
        return PitchTrack(times_s[here], hertz[here])

    def excerpt(self, start: int, n_samples: int) -> Track:
        """Return `n_samples` of the track from its sample `start` on, or as many as it has.

        No other sample is read. The labels of pitch are kept whole: `Track.start` places the
        excerpt among them.
        """
        stop = min(start + n_samples, self.n_samples)
        if isinstance(self.references, Recording):
            read = self.references.read
            references = {target: read(target, start, stop - start) for target in TARGETS}
        else:
            references = {t: audio[:, start:stop] for t, audio in self.references.items()}
        return Track(self.name, self.rate, references, self.pitch, self.start + start)


class LazyTracks(Sequence[Track]):
    """Tracks that are loaded when they are asked for, so that memory holds one at a time."""

    @abstractmethod
    def load(self, index: int) -> Track:
        """Load the track at an index from 0."""

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> list[Track]: ...
    def __getitem__(self, index: int | slice) -> Track | list[Track]:
        places = range(len(self))[index]
        return self.load(places) if isinstance(places, int) else [self.load(i) for i in places]


class Recording(Mapping[str, Audio]):
    """References that stay in their files: each target is read whole when it is asked for.

    What was read is kept for as long as the recording is, so that a target is decoded once.

    Parameters
    ----------
    name
        Name of the track, for messages.
    measure
        Function that returns the shape of each target, ``(channels, samples)``. It is called once,
        when the shape is needed.
    read
        Function of a target, a first sample and a number of samples that returns audio
        ``(channels, samples)``.
    """

    def __init__(
        self,
        name: str,
        measure: Callable[[], tuple[int, int]],
        read: Callable[[str, int, int], Audio],
    ) -> None:
        self.name, self._measure, self._read = name, measure, read
        self._whole: dict[str, Audio] = {}

    @functools.cached_property
    def shape(self) -> tuple[int, int]:
        """``(channels, samples)`` of each target."""
        shape = self._measure()
        if min(shape) < 1:
            raise BenchError(f"track {self.name!r} is empty: its shape is {shape}")
        return shape

    def __iter__(self) -> Iterator[str]:
        return iter(TARGETS)

    def __len__(self) -> int:
        return len(TARGETS)

    def __getitem__(self, target: str) -> Audio:
        if target not in TARGETS:
            raise KeyError(target)
        if target not in self._whole:
            self._whole[target] = self.read(target, 0, self.shape[1])
        return self._whole[target]

    def read(self, target: str, start: int, n_samples: int) -> Audio:
        """Read a part of a target.

        Raises
        ------
        BenchError
            A file is damaged: it gives less than it promised, or samples that are not finite.
        """
        audio = self._read(target, start, n_samples)
        what = f"{target} of track {self.name!r}"
        if audio.shape != (self.shape[0], n_samples):
            raise BenchError(
                f"{what} has {audio.shape[-1]} samples in {len(audio)} channel(s) where "
                f"{n_samples} in {self.shape[0]} are expected; its file is damaged"
            )
        check_audio(audio, what)
        return audio


def check_audio(audio: Audio, what: str) -> None:
    """Refuse audio that no method could use.

    Parameters
    ----------
    audio
        ``(channels, samples)``.
    what
        How to name it in the message.

    Raises
    ------
    BenchError
        Not two-dimensional, empty, with NaN or infinite samples, or with more channels than samples
        and than `MOST_CHANNELS`, as arrays of (samples, channels) have.
    """
    if audio.ndim != 2 or audio.size == 0:
        raise BenchError(f"{what} has shape {audio.shape}; expected (channels, samples), not empty")
    if audio.shape[0] > max(MOST_CHANNELS, audio.shape[1]):
        raise BenchError(
            f"{what} has shape {audio.shape}, {audio.shape[0]} channels of {audio.shape[1]} "
            "sample(s); expected (channels, samples): pass audio.T"
        )
    bad = audio.size - int(np.isfinite(audio).sum())
    if bad:
        first = int(np.flatnonzero(~np.isfinite(audio).all(axis=0))[0])
        raise BenchError(
            f"{what} has {bad} sample(s) that are NaN or infinite, the first at sample {first}; "
            "repair or remove the file"
        )
