"""The network: hidden rectified layers, some of them recurrent, and a linear output.

For frame t with input ``z_t`` (the mixture's magnitudes in several frames):

    h_l = relu(W_l h_{l-1} + b_l)                       a feed-forward layer
    h_l = relu(W_l h_{l-1} + b_l + U_l h_l[t-1])        a recurrent one, state 0 at the start
    y   = W h_L + b                                      one block of bins for each target

The masking layer on top of it is `bench.training.masking`'s.

References
----------
Huang, Kim, Hasegawa-Johnson, Smaragdis: Joint Optimization of Masks and Deep Recurrent Neural
Networks for Monaural Source Separation, IEEE/ACM TASLP 23(12), 2015, sections III-A and III-B.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.networks.aligned_linear import AlignedLinear
from baselines.networks.drnn.features import Features, Kind

Recurrent = Literal["none", "all"] | int


class RecurrentLayer(nn.Module):
    """``h_t = relu(W z_t + b + U h_{t-1})``: forward in time, no second bias."""

    def __init__(self, n_inputs: int, n_units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_units, n_inputs))
        self.recurrent = nn.Parameter(torch.empty(n_units, n_units))
        self.bias = nn.Parameter(torch.zeros(n_units))
        self.no_bias: Tensor
        self.register_buffer("no_bias", torch.zeros(n_units), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(sequence, frame, n_inputs)`` to ``(sequence, frame, n_units)``."""
        start = z.new_zeros(1, z.shape[0], self.bias.shape[0])
        weights = [self.weight, self.recurrent, self.bias, self.no_bias]
        h, _ = torch.rnn_relu(z, start, weights, True, 1, 0.0, self.training, False, True)
        return h


class DRNNNetwork(nn.Module):
    """DNN, DRNN-k or sRNN, by `recurrent`.

    Parameters
    ----------
    n_bins
        Frequency bins of a frame.
    context
        Frames in an input, odd.
    n_hidden, n_layers
        Units of a hidden layer, and hidden layers.
    recurrent
        ``none`` (DNN), the number of the one recurrent layer from 1 (DRNN-k), ``all`` (sRNN).
    n_outputs
        Targets that have a block of outputs: the first one, or both.
    features
        Representation of the mixture, see `baselines.networks.drnn.features`.
    rate
        Sampling rate in hertz.
    """

    def __init__(
        self,
        n_bins: int,
        context: int = 3,
        n_hidden: int = 1000,
        n_layers: int = 3,
        recurrent: Recurrent = 2,
        n_outputs: int = 2,
        features: Kind = "magnitude",
        rate: int = 16_000,
    ) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.features = Features(features, n_bins, context, rate)
        recurs = [recurrent == "all" or recurrent == k for k in range(1, n_layers + 1)]
        self.is_recurrent = any(recurs)
        sizes = [self.features.n_inputs] + [n_hidden] * n_layers
        self.hidden = nn.ModuleList(
            RecurrentLayer(n_in, n_hidden) if r else AlignedLinear(n_in, n_hidden)
            for n_in, r in zip(sizes[:-1], recurs, strict=True)
        )
        self.output = AlignedLinear(n_hidden, n_outputs * n_bins)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the authors' start: uniform weights by fan, biases 0.

        The bound is ``sqrt(6 / (in + out))`` for a feed-forward layer, ``sqrt(6 / (in + 2 out))``
        for one that recurs and ``sqrt(6 / (3 hidden))`` for its recurrent matrix.
        """
        for layer in [*self.hidden, self.output]:
            n_out, n_in = layer.weight.shape
            recurs = isinstance(layer, RecurrentLayer)
            bound = math.sqrt(6 / (n_in + (2 if recurs else 1) * n_out))
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if isinstance(layer, RecurrentLayer):
                bound = math.sqrt(6 / (3 * n_out))
                nn.init.uniform_(layer.recurrent, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Map inputs ``(sequence, frame, n_inputs)`` to raw outputs ``(..., n_outputs, bins)``.

        They have the precision of `z`, also where the layers work in a lower one.
        """
        h = z
        for layer in self.hidden:
            h = layer(h) if isinstance(layer, RecurrentLayer) else layer(h).relu()
        y: Tensor = self.output(h).to(z.dtype)
        return y.reshape(*y.shape[:-1], self.n_outputs, -1)
