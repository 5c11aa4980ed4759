"""The bidirectional LSTM: what it hears, and how its inputs are normalised."""

from __future__ import annotations

import torch

from baselines.networks.blstm.network import BLSTMNetwork


def test_the_lstm_hears_both_directions_and_its_inputs_are_normalised():
    torch.manual_seed(0)
    network = BLSTMNetwork(9, 8, 1, 0.0).eval()
    frames = 5 + 3 * torch.rand(500, 9)
    network.fit_normalisation(frames)
    scaled = (frames - network.mean) / network.deviation
    assert scaled.mean(dim=0).abs().max() < 1e-5
    assert (scaled.std(dim=0) - 1).abs().max() < 0.01
    x = torch.rand(1, 11, 9, requires_grad=True)
    network(x)[0, 5].sum().backward()
    assert (x.grad[0].abs().sum(dim=1) > 0).all()
