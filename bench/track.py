"""A piece of music with its true sources, and the array conventions that every room shares.

Audio is ``(channels, samples)``, a spectrogram or mask ``(channels, bins, frames)``: time is
last. ``rate`` is in hertz. The mixture is the sum of the references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

#: What a mixture is separated into, in the order that every table and array keeps.
TARGETS = ("vocals", "accompaniment")

Audio = NDArray[np.float64]


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
        For each of `TARGETS`, float64 audio ``(channels, samples)``, all of one shape.

    pitch
        The voice's pitch as labelled in the corpus, in semitones (MIDI numbers, 0 where there is
        none) at 20 ms, 40 ms and so on; None where the corpus has no labels. For bounds alone.

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

    def __post_init__(self) -> None:
        if tuple(sorted(self.references)) != tuple(sorted(TARGETS)):
            raise BenchError(
                f"track {self.name!r} has references {sorted(self.references)}, "
                f"but needs exactly {list(TARGETS)}"
            )
        shapes = {target: audio.shape for target, audio in self.references.items()}
        if len(set(shapes.values())) != 1:
            raise BenchError(f"references of track {self.name!r} differ in shape: {shapes}")
        for target, audio in self.references.items():
            check_audio(audio, f"{target} of track {self.name!r}")
        if self.rate <= 0:
            raise BenchError(f"track {self.name!r} has a sampling rate of {self.rate} Hz")

    @property
    def mixture(self) -> Audio:
        """The sum of the references, ``(channels, samples)``."""
        total: Audio = np.sum([self.references[target] for target in TARGETS], axis=0)
        return total

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return int(next(iter(self.references.values())).shape[-1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate


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
        Not two-dimensional, empty, or with NaN or infinite samples.
    """
    if audio.ndim != 2 or audio.size == 0:
        raise BenchError(f"{what} has shape {audio.shape}; expected (channels, samples), not empty")
    bad = audio.size - int(np.isfinite(audio).sum())
    if bad:
        first = int(np.flatnonzero(~np.isfinite(audio).all(axis=0))[0])
        raise BenchError(
            f"{what} has {bad} sample(s) that are NaN or infinite, the first at sample {first}; "
            "repair or remove the file"
        )
