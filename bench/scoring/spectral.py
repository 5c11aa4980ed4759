"""Measures that compare magnitude spectrograms of a reference and its estimate.

All take Hann windows with a hop of a quarter, which last as long at every rate as their number of
samples says at 44,100 Hz: a window of 4,096 samples there, 93 ms, is one of 1,488 at 16,000 Hz. All
are of the whole track and of all channels together, and none exists where the reference is silent.

**Multi-resolution STFT distance** (Yamamoto et al., ICASSP 2020, section 2.2): spectral convergence
``|S - E| / |S|``, Frobenius norms of the magnitudes S and E, plus the mean absolute difference of
their natural logarithms; the mean of that over windows of 1,024, 2,048 and 4,096 samples.
Magnitudes that lie 80 dB or more below the loudest of the reference are raised to that level before
the logarithm, so that the level of a corpus changes nothing.

**Bleedless and fullness** (MVSEP's leaderboard of music separation, as its training suite computes
them, 2024): magnitudes of windows of 4,096 samples in 512 mel bands, in dB, of each signal no lower
than 80 dB below its own loudest. With p the mean of the differences, estimate less reference, that
are above 0, and n the mean of those below, bleedless is ``100 / (1 + p)`` and fullness
``100 / (1 - n)``.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from bench import stft

#: Rate in hertz at which the windows have the numbers of samples below.
_RATE = 44_100
_WINDOWS = (1_024, 2_048, 4_096)
_MEL_WINDOW, _MEL_BANDS = 4_096, 512
#: What is quieter than the loudest by this, in dB, is raised to it.
_RANGE_DB = 80.0
#: Magnitudes below this are raised to it, -200 dB: the logarithm of 0 does not exist.
_LEAST_MAGNITUDE = 1e-10

_Signal = NDArray[np.float64]


def multi_resolution_distance(reference: _Signal, estimate: _Signal, rate: int) -> float:
    """Return the multi-resolution STFT distance of an estimate from its reference.

    Parameters
    ----------
    reference, estimate
        ``(channels, samples)``.
    rate
        Hertz.

    Returns
    -------
    float
        0 for a perfect estimate; NaN where the reference is silent.
    """
    if not reference.any():
        return math.nan
    distances = []
    for window in _WINDOWS:
        truth, guess = (_magnitudes(signal, window, rate) for signal in (reference, estimate))
        convergence = np.linalg.norm(truth - guess) / np.linalg.norm(truth)
        floor = truth.max() * 10 ** (-_RANGE_DB / 20)
        logarithms = [np.log(np.maximum(magnitudes, floor)) for magnitudes in (truth, guess)]
        distances.append(float(convergence + np.abs(logarithms[0] - logarithms[1]).mean()))
    return float(np.mean(distances))


def bleedless_and_fullness(reference: _Signal, estimate: _Signal, rate: int) -> tuple[float, float]:
    """Return bleedless and fullness of an estimate, 100 the best.

    Parameters
    ----------
    reference, estimate
        ``(channels, samples)``.
    rate
        Hertz.

    Returns
    -------
    tuple of float
        NaN where the reference is silent.
    """
    if not reference.any():
        return math.nan, math.nan
    difference = _mel_levels(estimate, rate) - _mel_levels(reference, rate)
    added, missing = difference[difference > 0], difference[difference < 0]
    bleed = float(added.mean()) if len(added) else 0.0
    loss = -float(missing.mean()) if len(missing) else 0.0
    return 100 / (1 + bleed), 100 / (1 + loss)


def _magnitudes(signal: _Signal, window: int, rate: int) -> _Signal:
    """Return magnitudes ``(channels, bins, frames)``, a frame each quarter of a window.

    The first frame has its centre at the first sample, the last one within the signal.
    """
    n_fft, hop = stft.from_seconds(window / _RATE, window / _RATE / 4, rate)
    first = stft.lead(n_fft, hop)
    frames = slice(first, first + 1 + signal.shape[-1] // hop)
    # as PyTorch scales it: the sum of window times signal, no factor of the window's length
    return np.asarray(np.abs(stft.forward(signal, n_fft, hop, "hann"))[..., frames])


def _mel_levels(signal: _Signal, rate: int) -> _Signal:
    """Return the levels of the mel bands in dB, ``(channels, bands, frames)``."""
    import librosa

    magnitudes = _magnitudes(signal, _MEL_WINDOW, rate)
    n_fft = 2 * (magnitudes.shape[-2] - 1)
    with warnings.catch_warnings():  # bands between two bins are empty, as their definition has it
        warnings.filterwarnings("ignore", "Empty filters detected", UserWarning)
        bands = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=_MEL_BANDS)
    levels = 20 * np.log10(np.maximum(bands @ magnitudes, _LEAST_MAGNITUDE))
    return np.asarray(np.maximum(levels, levels.max() - _RANGE_DB))
