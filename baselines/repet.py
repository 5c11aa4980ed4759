"""REPET: what repeats with a period is accompaniment; the voice is what stands out of it.

    S(f, t) = median over j of |X(f, t + j p)|,   W = min(S, |X|),   M = W / |X|

with p the period of the beat spectrum, the mean autocorrelation of the power of each bin. M is the
accompaniment's mask; below `CUTOFF` it is 1, since no voice sounds there. The original takes one
period and the median over all its repeats; the adaptive form takes the period around each frame and
the median over its nearest repeats, for songs whose accompaniment changes.

Differences from the papers: the suite's transform; a clip too short for three repeats of any period
in the range takes the shortest period.

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
import scipy.fft
from numpy.typing import NDArray
from pydantic import Field

from bench.masks import Masks
from bench.methods.separator import MaskSeparator, Spectrogram, separator

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

#: Hertz below which nothing is voice.
CUTOFF = 100.0
#: Frames by which a repeat may come early or late when the period is sought.
DEVIATION = 2


def beat_spectrum(magnitude: Matrix) -> Vector:
    """Return how alike a spectrogram is to itself after each number of frames, 1 at 0.

    Parameters
    ----------
    magnitude
        ``(bins, frames)``, not all zero.
    """
    power = np.square(magnitude)
    n = power.shape[1]
    size = scipy.fft.next_fast_len(2 * n, real=True)
    spectra = np.square(np.abs(scipy.fft.rfft(power, size, axis=1)))
    alike = scipy.fft.irfft(spectra.sum(axis=0), size)[:n] / np.arange(n, 0, -1)
    spectrum: Vector = alike / alike[0]
    return spectrum


def repeating_period(beat: Vector, shortest: int, longest: int) -> int:
    """Return the period in frames at whose multiples a beat spectrum has its peaks.

    A period scores by how far the beat spectrum at its multiples stands above its surroundings,
    where it is the highest of them; the best mean score wins.

    Parameters
    ----------
    beat
        See `beat_spectrum`.
    shortest, longest
        The range that is searched; no period is taken that has not three repeats.
    """
    beat = beat[: max(1, 3 * len(beat) // 4)]  # few frames lie behind the longest delays
    longest = min(longest, len(beat) // 3)
    scores = {}
    for period in range(max(1, shortest), longest + 1):
        around, total = 3 * period // 4, 0.0
        multiples = range(period, len(beat), period)
        for centre in multiples:
            near = slice(max(0, centre - DEVIATION), centre + DEVIATION + 1)
            wide = slice(max(0, centre - around), centre + around + 1)
            peak = near.start + int(np.argmax(beat[near]))
            if peak == wide.start + int(np.argmax(beat[wide])):
                total += float(beat[peak] - beat[wide].mean())
        scores[period] = total / len(multiples)
    return max(scores, key=lambda period: scores[period]) if scores else max(1, shortest)


def repeating_part(magnitude: Matrix, period: int) -> Matrix:
    """Return the median over all repeats of each frame of a period, ``(bins, frames)``."""
    n_bins, n_frames = magnitude.shape
    period = min(period, n_frames)
    n_repeats = -(-n_frames // period)
    padded = np.full((n_bins, n_repeats * period), np.nan)
    padded[:, :n_frames] = magnitude
    segment = np.nanmedian(padded.reshape(n_bins, n_repeats, period), axis=1)
    return np.tile(segment, n_repeats)[:, :n_frames]


def adaptive_part(magnitude: Matrix, periods: NDArray[np.int64], n_repeats: int) -> Matrix:
    """Return for each frame the median over its nearest repeats, its own period apart.

    Parameters
    ----------
    magnitude
        ``(bins, frames)``.
    periods
        In frames, one a frame.
    n_repeats
        Frames in a median, the frame itself among them; odd.
    """
    n_frames = magnitude.shape[1]
    steps = np.arange(-(n_repeats // 2), n_repeats // 2 + 1)[:, None]
    index = np.arange(n_frames) + steps * periods
    outside = (index < 0) | (index >= n_frames)
    repeats = magnitude[:, np.where(outside, 0, index)]
    repeats[:, outside] = np.nan
    return np.nanmedian(repeats, axis=1)


def repeating_masks(magnitude: Matrix, repeating: Matrix, rate: int) -> tuple[Matrix, Matrix]:
    """Return the masks of voice and accompaniment from the repeating part.

    Parameters
    ----------
    magnitude, repeating
        ``(bins, frames)``.
    rate
        In hertz.
    """
    heard = magnitude > 0
    share = np.ones_like(magnitude)
    np.divide(np.minimum(repeating, magnitude), magnitude, out=share, where=heard)
    share[np.linspace(0.0, rate / 2, len(magnitude)) < CUTOFF] = 1.0
    return 1.0 - share, share


@separator
class REPET(MaskSeparator):
    """Repeating pattern extraction, a channel at a time.

    Parameters
    ----------
    form
        ``original``: one period; ``adaptive``: a period around each frame.
    shortest_s, longest_s
        Range of the period in seconds.
    window_s
        Seconds around a frame in which its period is sought (adaptive).
    repeats
        Frames in a median (adaptive), odd.
    n_fft, hop
        Of the transform.
    """

    VERSION: ClassVar[int] = 1

    form: Literal["original", "adaptive"] = "original"
    shortest_s: float = Field(0.8, gt=0)
    longest_s: float = Field(8.0, gt=0)
    window_s: float = Field(10.0, gt=0)
    repeats: Literal[3, 5, 7, 9] = 5
    hop: int = 256

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return what repeats as the accompaniment's share, the rest as the voice's."""
        pairs = [self._masks(np.abs(channel), rate) for channel in spectrogram]
        voice, accompaniment = (np.stack(part) for part in zip(*pairs, strict=True))
        return {"vocals": voice, "accompaniment": accompaniment}

    def _masks(self, magnitude: Matrix, rate: int) -> tuple[Matrix, Matrix]:
        if not magnitude.any():
            return repeating_masks(magnitude, magnitude, rate)
        if self.form == "original":
            return repeating_masks(
                magnitude, repeating_part(magnitude, self._period(magnitude, rate)), rate
            )
        width = max(1, round(self.window_s * rate / self.hop))
        n_frames = magnitude.shape[1]
        starts = range(0, max(1, n_frames - width // 2), max(1, width // 2))
        centres = [min(start + width, n_frames) / 2 + start / 2 for start in starts]
        found = [self._period(magnitude[:, start : start + width], rate) for start in starts]
        periods = np.interp(np.arange(n_frames), centres, found).round().astype(np.int64)
        return repeating_masks(magnitude, adaptive_part(magnitude, periods, self.repeats), rate)

    def _period(self, magnitude: Matrix, rate: int) -> int:
        if not magnitude.any():
            return 1
        seconds = (self.shortest_s, self.longest_s)
        shortest, longest = (max(1, round(s * rate / self.hop)) for s in seconds)
        return repeating_period(beat_spectrum(magnitude), shortest, longest)
