"""REPET: what repeats with a period is accompaniment; the voice is what stands out of it.

    S(f, t) = median over j of |X(f, t + j p)|,   W = min(S, |X|),   M = W / |X|

with p the period of the beat spectrum, the mean autocorrelation of the power of each bin. M is the
accompaniment's mask; below `CUTOFF` it is 1, since no voice sounds there. The original takes one
period and the median over all its repeats; the adaptive form takes the period around each frame and
the median over its nearest repeats, for songs whose accompaniment changes.

Differences from the papers: the suite's transform; the adaptive form has the mask of the original,
where its paper makes a mask of how far the mixture deviates from the pattern; its periods are
sought in windows that overlap by half, and interpolated between their centres; a clip too short for
any period in the range takes the shortest.

References
----------
Rafii, Pardo: REpeating Pattern Extraction Technique (REPET): a simple method for music/voice
separation, IEEE TASLP 21(1), 2013 (original; the search for the period).
Liutkus, Rafii, Badeau, Pardo, Richard: Adaptive filtering for music/voice separation exploiting the
repeating musical structure, ICASSP 2012 (adaptive).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from baselines.algorithms.repetition import (
    Matrix,
    adaptive_part,
    beat_spectrum,
    repeating_masks,
    repeating_part,
    repeating_period,
)
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator


@separator
class REPET(ChannelMaskSeparator):
    """Repeating pattern extraction, one channel at a time.

    Parameters
    ----------
    form
        ``original``: one period; ``adaptive``: a period around each frame.
    shortest_s, longest_s
        Range of the period in seconds.
    window_s
        Length in seconds of the windows in which a period is sought, each half over the next
        (adaptive).
    repeats
        Number of frames in a median (adaptive), odd.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 1

    form: Literal["original", "adaptive"] = "original"
    shortest_s: float = Field(0.8, gt=0)
    longest_s: float = Field(8.0, gt=0)
    window_s: float = Field(10.0, gt=0)
    repeats: Literal[3, 5, 7, 9] = 5
    hop: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortest_s > self.longest_s:
            raise BenchError(
                f"shortest_s must not be above longest_s: {self.shortest_s} > {self.longest_s}"
            )

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return what repeats as the accompaniment's share, and the rest as the voice's."""
        magnitude = np.abs(channel)
        return repeating_masks(magnitude, self._repeating(magnitude, rate), rate)

    def _repeating(self, magnitude: Matrix, rate: int) -> Matrix:
        """Return the repeating part of magnitudes ``(bins, frames)``."""
        if not magnitude.any():
            return magnitude
        if self.form == "original":
            return repeating_part(magnitude, self._period(magnitude, rate))
        width = max(1, round(self.window_s * rate / self.hop))
        n_frames = magnitude.shape[1]
        starts = range(0, max(1, n_frames - width // 2), max(1, width // 2))
        centres = [min(start + width, n_frames) / 2 + start / 2 for start in starts]
        around = [self._period(magnitude[:, start : start + width], rate) for start in starts]
        periods = np.interp(np.arange(n_frames), centres, around).round().astype(np.int64)
        return adaptive_part(magnitude, periods, self.repeats)

    def _period(self, magnitude: Matrix, rate: int) -> int:
        """Return the period in frames at which magnitudes ``(bins, frames)`` repeat."""
        if not magnitude.any():
            return 1
        seconds = (self.shortest_s, self.longest_s)
        shortest, longest = (max(1, round(s * rate / self.hop)) for s in seconds)
        return repeating_period(beat_spectrum(magnitude), shortest, longest)
