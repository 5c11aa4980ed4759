"""The network's input: features of a frame beside those of its neighbours.

``magnitude`` is the paper's choice: raw magnitudes. ``log_power`` and ``log_mel`` compress the
range as hearing does; each of their numbers is brought to mean 0 and deviation 1 over the
training mixtures, since logarithms are far from 0 where magnitudes are near it.

References
----------
Huang, Kim, Hasegawa-Johnson, Smaragdis: Joint Optimization of Masks and Deep Recurrent Neural
Networks for Monaural Source Separation, IEEE/ACM TASLP 23(12), 2015, section IV.
O'Shaughnessy: Speech Communication: Human and Machine, 1987 (the mel scale,
``2595 log10(1 + f / 700)``).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["magnitude", "log_power", "log_mel"]

#: Power added before every logarithm: about 60 dB below that of a mixture at its level.
FLOOR = 1e-4
N_MELS = 40


class Features(nn.Module):
    """Features of whole sequences of magnitudes.

    Parameters
    ----------
    kind
        ``magnitude``, ``log_power`` or ``log_mel`` (`N_MELS` bands from 0 to half the rate).
    n_bins
        Frequency bins of a frame.
    context
        Frames in an input, odd.
    rate
        Sampling rate in hertz, for the mel bands.
    """

    centre: Tensor
    deviation: Tensor
    bands: Tensor

    def __init__(self, kind: Kind, n_bins: int, context: int, rate: int) -> None:
        super().__init__()
        self.kind, self.context = kind, context
        n_features = N_MELS if kind == "log_mel" else n_bins
        self.n_inputs = context * n_features
        if kind == "log_mel":
            self.register_buffer("bands", mel_bands(N_MELS, n_bins, rate), persistent=False)
        if kind != "magnitude":
            self.register_buffer("centre", torch.zeros(n_features))
            self.register_buffer("deviation", torch.ones(n_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(sequence, frame, bins)`` to ``(sequence, frame, n_inputs)``, edges repeated.

        Logarithms and bands are computed in the precision of `x`, also where layers work in a lower
        one.
        """
        if self.kind != "magnitude":
            with torch.autocast(x.device.type, enabled=False):
                x = (self.logarithms(x) - self.centre) / self.deviation
        return with_context(x, self.context)

    def logarithms(self, x: Tensor) -> Tensor:
        """Return the logarithm of the power of each bin or band."""
        power = x.square()
        if self.kind == "log_mel":
            power = power @ self.bands
        return (power + FLOOR).log()

    def fit_normalisation(self, x: Tensor) -> None:
        """Take mean and deviation from the training mixtures ``(frame, bins)``."""
        if self.kind != "magnitude":
            values = self.logarithms(x).double()
            self.centre.copy_(values.mean(0))
            self.deviation.copy_(values.std(0).clamp(min=1e-3))


def mel_bands(n_mels: int, n_bins: int, rate: int) -> Tensor:
    """Return triangles of height 1, evenly spaced in mel from 0 Hz to half the rate.

    Returns
    -------
    Tensor
        ``(bins, n_mels)``: the weight of each bin in each band.
    """
    from librosa.filters import mel

    bands = mel(sr=rate, n_fft=2 * (n_bins - 1), n_mels=n_mels, htk=True, norm=None)
    return torch.from_numpy(bands.T).contiguous()


def with_context(x: Tensor, context: int) -> Tensor:
    """Put each frame beside its neighbours, edges repeated.

    Parameters
    ----------
    x
        ``(sequence, frame, features)``.
    context
        Odd number of frames: before, this one, after.

    Returns
    -------
    Tensor
        ``(sequence, frame, context * features)``.
    """
    reach = context // 2
    last = x.shape[1] - 1
    steps = torch.arange(x.shape[1], device=x.device)
    frames = [x[:, (steps + k).clamp(0, last)] for k in range(-reach, reach + 1)]
    return torch.cat(frames, dim=-1)
