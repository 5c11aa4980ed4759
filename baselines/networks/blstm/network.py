"""The network: dense, LSTM in both directions of time, dense, with a connection past the LSTM.

For magnitudes ``x`` of a frame, with mean and deviation of each bin over the training clips:

    e = tanh(norm(W_1 (x - mean) / deviation))
    h = LSTM(e), both directions, several layers
    y = norm(W_3 relu(norm(W_2 [e, h]))) * scale + shift      one block of bins for each target

References
----------
Stöter, Uhlich, Liutkus, Mitsufuji: Open-Unmix - A Reference Implementation for Music Source
Separation, Journal of Open Source Software 4(41), 2019, figure 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.track import TARGETS


class BLSTMNetwork(nn.Module):
    """Dense, bidirectional LSTM, dense.

    Parameters
    ----------
    n_bins
        Frequency bins of a frame.
    n_hidden, n_layers
        Units of a dense layer and of both directions of an LSTM together, and layers of LSTM.
    dropout
        Fraction of the units between layers of LSTM that are left out in training.
    """

    def __init__(self, n_bins: int, n_hidden: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(n_bins))
        self.register_buffer("deviation", torch.ones(n_bins))
        self.encoder = nn.Linear(n_bins, n_hidden, bias=False)
        self.encoder_norm = nn.BatchNorm1d(n_hidden)
        self.lstm = nn.LSTM(
            n_hidden,
            n_hidden // 2,
            n_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if n_layers > 1 else 0.0,
        )
        self.decoder = nn.Linear(2 * n_hidden, n_hidden, bias=False)
        self.decoder_norm = nn.BatchNorm1d(n_hidden)
        self.output = nn.Linear(n_hidden, len(TARGETS) * n_bins, bias=False)
        self.output_norm = nn.BatchNorm1d(len(TARGETS) * n_bins)
        self.scale = nn.Parameter(torch.ones(n_bins))
        self.shift = nn.Parameter(torch.ones(n_bins))

    def fit_normalisation(self, magnitudes: Tensor) -> None:
        """Take mean and deviation of each bin from magnitudes ``(frames, bins)``.

        A bin that varies less than a thousandth of the bin that varies most counts as varying as
        much as that.
        """
        deviation, self.mean = torch.std_mean(magnitudes, dim=0, correction=0)
        self.deviation = deviation.clamp(min=float(deviation.max()) * 1e-3 + 1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """Map magnitudes ``(sequence, frame, bins)`` to ``(sequence, frame, targets, bins)``."""
        encoded = _per_frame(self.encoder_norm, self.encoder((x - self.mean) / self.deviation))
        encoded = encoded.tanh()
        recurrent, _ = self.lstm(encoded)
        joined = torch.cat([encoded, recurrent], dim=-1)
        decoded = _per_frame(self.decoder_norm, self.decoder(joined)).relu()
        y = _per_frame(self.output_norm, self.output(decoded))
        y = y.reshape(*y.shape[:-1], len(TARGETS), -1)
        return y * self.scale + self.shift


def _per_frame(norm: nn.BatchNorm1d, values: Tensor) -> Tensor:
    """Normalise ``(sequence, frame, units)`` over all frames of all sequences."""
    normalised: Tensor = norm(values.flatten(0, 1))
    return normalised.view_as(values)
