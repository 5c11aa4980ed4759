"""Bounds: methods that are shown the true sources."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from bench import stft
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.separator import Spectrogram, TransformSeparator, apply, separator
from bench.track import TARGETS, Audio, Track


@separator
class Oracle(TransformSeparator):
    """A bound: it is shown the true sources. Tables set it apart and never rank it."""

    GROUP: ClassVar[str] = "bound"

    @abstractmethod
    def separate_track(self, track: Track) -> dict[str, Audio]:
        """Separate the mixture of a track with the help of its references or labels."""

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Refuse: a mixture alone does not hold the answer.

        Raises
        ------
        BenchError
            Always.
        """
        raise BenchError(
            f"{type(self).__name__} is a bound made from the true sources; "
            "it cannot separate a mixture alone"
        )


@separator
class MaskOracle(Oracle):
    """A bound that is a mask made from the spectrograms of the true sources."""

    @abstractmethod
    def track_masks(self, references: dict[str, Spectrogram], rate: int) -> Masks:
        """Return the mask of each target.

        Parameters
        ----------
        references
            For each target the complex spectrogram ``(channels, bins, frames)`` of its true audio.
        rate
            Sampling rate in hertz.
        """

    def separate_track(self, track: Track) -> dict[str, Audio]:
        """Separate the mixture of a track by masks made from its references."""
        spectrograms = {t: stft.forward(track.references[t], self.n_fft, self.hop) for t in TARGETS}
        spectrogram = stft.forward(track.mixture, self.n_fft, self.hop)
        return apply(self.track_masks(spectrograms, track.rate), spectrogram, track.n_samples, self)
