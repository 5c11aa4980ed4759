"""Harmonic/percussive separation twice: a voice is neither steady nor a click.

A median along time keeps what is steady (H), one along frequency what is short (P); the masks are
``H^2 / (H^2 + P^2)`` and its complement. In long windows a voice, whose pitch moves, is on the
side of P with the drums, and the steady accompaniment is taken away; in short windows it is on the
side of H, and the drums are not. What is left after both, above `CUTOFF`, is the voice.

Differences from the paper: librosa's medians and soft masks; windows and medians are those that
separate training songs held out best (`experiments/select_hpss.yaml`).

References
----------
FitzGerald, Gainza: Single channel vocal separation using median filtering and factorisation
techniques, ISAST Transactions 4(1), 2010 (two stages).
FitzGerald: Harmonic/percussive separation using median filtering, DAFx 2010 (the masks).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from baselines.algorithms.repetition import CUTOFF
from bench import stft
from bench.methods.separator import Separator, check_mixture, separator
from bench.track import Audio


def part(audio: Audio, window: int, kernel: int, which: int) -> Audio:
    """Return the harmonic (`which` = 0) or the percussive part (1) of each channel.

    Parameters
    ----------
    audio
        ``(channels, samples)``.
    window
        Window length of the transform in samples, a power of two; the hop is a quarter of it.
    kernel
        Length of the medians in bins and in frames, odd.
    which
        Index of the part that is kept.
    """
    import librosa

    spectrogram = stft.forward(audio, window, window // 4)
    magnitude = np.abs(spectrogram)
    scale = magnitude.max() or 1.0
    masks = librosa.decompose.hpss(magnitude / scale, kernel_size=kernel, mask=True)
    kept: Audio = stft.inverse(masks[which] * spectrogram, audio.shape[-1], window, window // 4)
    return kept


def high_pass(audio: Audio, rate: int) -> Audio:
    """Return audio ``(channels, samples)`` without the frequencies below `CUTOFF`."""
    spectrogram = stft.forward(audio)
    spectrogram[:, np.linspace(0.0, rate / 2, spectrogram.shape[1]) < CUTOFF] = 0.0
    return stft.inverse(spectrogram, audio.shape[-1])


@separator
class HPSS(Separator):
    """Two-stage harmonic/percussive separation.

    Parameters
    ----------
    long_ms, short_ms
        Windows of the two stages in milliseconds, each taken to the nearest power of two.
    kernel
        Length of the medians in bins and in frames, odd.
    """

    VERSION: ClassVar[int] = 1

    long_ms: float = Field(512.0, gt=0)
    short_ms: float = Field(64.0, gt=0)
    kernel: int = Field(17, ge=3)

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate a mixture; what is not voice is accompaniment. See `Separator.separate`."""
        check_mixture(mixture, rate, self)
        long, short = (
            max(4, 2 ** round(np.log2(ms * rate / 1000))) for ms in (self.long_ms, self.short_ms)
        )
        moving = part(mixture, long, self.kernel, 1)
        voice = high_pass(part(moving, short, self.kernel, 0), rate)
        return {"vocals": voice, "accompaniment": mixture - voice}
