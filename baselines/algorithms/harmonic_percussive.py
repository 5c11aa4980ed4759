"""Harmonic and percussive parts of audio by medians, and the voice that two such stages leave.

A median along time keeps what is steady (H), one along frequency what is short (P); the masks are
``H^2 / (H^2 + P^2)`` and its complement. In long windows a voice, whose pitch moves, is on the
side of P with the drums, and the steady accompaniment is taken away; in short windows it is on the
side of H, and the drums are not.

References
----------
FitzGerald: Harmonic/percussive separation using median filtering, DAFx 2010 (the masks).
FitzGerald, Gainza: Single channel vocal separation using median filtering and factorisation
techniques, ISAST Transactions 4(1), 2010 (two stages).
"""

from __future__ import annotations

import math

import numpy as np

from baselines.algorithms.repetition import CUTOFF
from bench import stft
from bench.track import Audio

#: Windows of the two stages in milliseconds, and length of the medians in bins and in frames: those
#: that `experiments/select_hpss.yaml` chose.
LONG_MS, SHORT_MS, KERNEL = 512.0, 64.0, 17
#: Window in milliseconds of the transform in which low frequencies are taken out; its hop is half.
CUT_MS = 64.0


def harmonic_and_percussive(audio: Audio, n_fft: int, kernel: int) -> tuple[Audio, Audio]:
    """Return the harmonic and the percussive part of each channel; they add up to it.

    Parameters
    ----------
    audio
        ``(channels, samples)``.
    n_fft
        Window length of the transform in samples, a multiple of 4; the hop is a quarter of it.
    kernel
        Length of the medians in bins and in frames, odd.

    Returns
    -------
    harmonic, percussive
        ``(channels, samples)`` each.
    """
    import librosa

    spectrogram = stft.forward(audio, n_fft, n_fft // 4)
    magnitude = np.abs(spectrogram)
    scale = magnitude.max() or 1.0
    masks = librosa.decompose.hpss(magnitude / scale, kernel_size=kernel, mask=True)
    harmonic, percussive = (
        stft.inverse(mask * spectrogram, audio.shape[-1], n_fft, n_fft // 4) for mask in masks
    )
    return harmonic, percussive


def window_length(length_ms: float, rate: int) -> int:
    """Return a window's length in samples: the nearest power of two in milliseconds, at least 4.

    A millisecond is rounded to whole samples, so that the hops of several windows share a small
    multiple at every rate.

    Examples
    --------
    >>> [window_length(64.0, rate) for rate in (16_000, 44_100)]
    [1024, 2816]
    """
    return max(1, round(rate / 1000)) * int(max(4, 2 ** round(np.log2(length_ms))))


def alignment(rate: int, long_ms: float, short_ms: float) -> int:
    """Return the number of samples at whose multiples the frames of all transforms begin."""
    hops = (window_length(ms, rate) // 4 for ms in (long_ms, short_ms))
    return math.lcm(window_length(CUT_MS, rate) // 2, *hops)


def lookahead(rate: int, long_ms: float, short_ms: float, kernel: int) -> int:
    """Return the number of samples that `two_stage_voice` looks ahead.

    A sample depends on the frames that hold it, up to a window ahead, and they by the medians on
    half a median of frames more; so in each stage, and once more where low frequencies are taken
    out.
    """
    each = [window_length(ms, rate) for ms in (long_ms, short_ms)]
    reach = sum(kernel // 2 * (length // 4) + length for length in each)
    return window_length(CUT_MS, rate) + reach


def high_pass(audio: Audio, rate: int) -> Audio:
    """Return audio ``(channels, samples)`` without the frequencies below `CUTOFF`."""
    n_fft = window_length(CUT_MS, rate)
    spectrogram = stft.forward(audio, n_fft, n_fft // 2)
    spectrogram[:, np.linspace(0.0, rate / 2, spectrogram.shape[1]) < CUTOFF] = 0.0
    return stft.inverse(spectrogram, audio.shape[-1], n_fft, n_fft // 2)


def two_stage_voice(
    audio: Audio,
    rate: int,
    long_ms: float = LONG_MS,
    short_ms: float = SHORT_MS,
    kernel: int = KERNEL,
) -> Audio:
    """Return what is neither steady in long windows nor a click in short ones, above `CUTOFF`.

    Parameters
    ----------
    audio
        ``(channels, samples)``.
    rate
        Sampling rate in hertz.
    long_ms, short_ms
        Windows of the two stages in milliseconds; see `window_length`.
    kernel
        Length of the medians in bins and in frames, odd.

    Returns
    -------
    ndarray
        ``(channels, samples)``.
    """
    long, short = (window_length(ms, rate) for ms in (long_ms, short_ms))
    _, moving = harmonic_and_percussive(audio, long, kernel)
    voice, _ = harmonic_and_percussive(moving, short, kernel)
    return high_pass(voice, rate)
