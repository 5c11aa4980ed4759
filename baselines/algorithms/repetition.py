"""What repeats in a spectrogram: its period, the median over its repeats, and the masks of both.

References
----------
Rafii, Pardo: REpeating Pattern Extraction Technique (REPET): a simple method for music/voice
separation, IEEE TASLP 21(1), 2013 (the search for the period, the masks).
Liutkus, Rafii, Badeau, Pardo, Richard: Adaptive filtering for music/voice separation exploiting the
repeating musical structure, ICASSP 2012 (a period that changes).
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
#: Frequency in hertz below which nothing is voice.
CUTOFF = 100.0
#: Number of frames by which a repeat may come early or late when the period is sought.
DEVIATION = 2


def beat_spectrum(magnitude: Matrix) -> Vector:
    """Return the mean autocorrelation of the power of all bins at each lag in frames, 1 at lag 0.

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
        Beat spectrum, ``(frames,)``; see `beat_spectrum`.
    shortest, longest
        Range of the search in frames. A period above a quarter of the frames is never taken; where
        all in the range are above it, the result is the shortest.
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
        Period around each frame, in frames; ``(frames,)``.
    n_repeats
        Number of frames in a median, the frame itself among them; odd.
    """
    n_frames = magnitude.shape[1]
    steps = np.arange(-(n_repeats // 2), n_repeats // 2 + 1)[:, None]
    index = np.arange(n_frames) + steps * periods
    outside = (index < 0) | (index >= n_frames)
    repeats = magnitude[:, np.where(outside, 0, index)]
    repeats[:, outside] = np.nan
    return np.nanmedian(repeats, axis=1)


def repeating_masks(magnitude: Matrix, repeating: Matrix, rate: int) -> dict[str, Matrix]:
    """Return the masks of voice and accompaniment from the repeating part.

    Parameters
    ----------
    magnitude, repeating
        ``(bins, frames)``.
    rate
        Sampling rate in hertz.
    """
    heard = magnitude > 0
    share = np.ones_like(magnitude)
    np.divide(np.minimum(repeating, magnitude), magnitude, out=share, where=heard)
    share[np.linspace(0.0, rate / 2, len(magnitude)) < CUTOFF] = 1.0
    return {"vocals": 1.0 - share, "accompaniment": share}
