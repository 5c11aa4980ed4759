"""Bare loops, frozen as the networks were first trained: the suite gives their weights to the bit.

Both sides run on the same processor in float32, so no fixture depends on a machine's BLAS.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from baselines.networks.drnn.separator import DRNN
from baselines.networks.rnmf import SupervisedRNMF
from bench.training.excerpts import TrainingExcerpts

EPOCHS, BATCH, FRAMES, HIDDEN = 3, 4, 10, 24


def epoch_batches(excerpts: TrainingExcerpts, epoch: int, batch_size: int, seed: int = 0):
    excerpts.draw(epoch)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return list(excerpts.epoch(generator, batch_size))


def initial_weights(recurrent: bool) -> dict[str, torch.Tensor]:
    """Draw the authors' start of two hidden layers, the second of which may recur."""
    generator, weights = torch.Generator().manual_seed(0), {}
    sizes = [("hidden.0", 1539, HIDDEN), ("hidden.1", HIDDEN, HIDDEN), ("output", HIDDEN, 1026)]
    for name, n_in, n_out in sizes:
        recurs = recurrent and name == "hidden.1"
        bound = math.sqrt(6 / (n_in + (2 if recurs else 1) * n_out))
        matrix = torch.empty(n_out, n_in).uniform_(-bound, bound, generator=generator)
        weights[f"{name}.weight"] = matrix
        if recurs:
            bound = math.sqrt(6 / (3 * n_out))
            matrix = torch.empty(n_out, n_out).uniform_(-bound, bound, generator=generator)
            weights[f"{name}.recurrent"] = matrix
        weights[f"{name}.bias"] = torch.zeros(n_out)
    return {name: weight.requires_grad_() for name, weight in weights.items()}


def drnn_outputs(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    neighbours = [x[:, :1], x, x[:, -1:]]
    n, padded = x.shape[1], torch.cat(neighbours, dim=1)
    z = torch.cat([padded[:, k : k + n] for k in range(3)], dim=-1)[:, 1:-1]
    h = torch.relu(nn.functional.linear(z, weights["hidden.0.weight"], weights["hidden.0.bias"]))
    if "hidden.1.recurrent" in weights:
        own = [weights[f"hidden.1.{part}"] for part in ("weight", "recurrent", "bias")]
        state = h.new_zeros(1, len(h), HIDDEN)
        args = (True, 1, 0.0, True, False, True)
        h, _ = torch.rnn_relu(h, state, [*own, torch.zeros(HIDDEN)], *args)
    else:
        layer = weights["hidden.1.weight"], weights["hidden.1.bias"]
        h = torch.relu(nn.functional.linear(h, *layer))
    y = nn.functional.linear(h, weights["output.weight"], weights["output.bias"])
    return y.unflatten(-1, (2, -1))


@pytest.mark.parametrize("recurrent", ["none", 2])
def test_the_drnn_has_the_weights_of_a_bare_loop(tracks, recurrent):
    excerpts = TrainingExcerpts(tracks, 9.0, 1024, 512, FRAMES, 1, "random", "any", 0)
    weights = initial_weights(recurrent == 2)
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3, fused=True)
    n_steps, step = EPOCHS * math.ceil(excerpts.n_sequences / BATCH), 0
    for epoch in range(EPOCHS):
        for batch in epoch_batches(excerpts, epoch, BATCH):
            rise = max(1.0, 0.05 * n_steps)
            fall = 0.5 * (1 + math.cos(math.pi * min(step / n_steps, 1.0)))
            optimizer.param_groups[0]["lr"] = 1e-3 * (min((step + 1) / rise, 1.0) * fall)
            x, references = excerpts.magnitudes(batch)
            y = drnn_outputs(weights, x).abs()
            estimates = y / (y.sum(-2, keepdim=True) + 1e-10) * x[:, 1:-1].unsqueeze(-2)
            own, other = (
                0.5 * nn.functional.mse_loss(estimates, r, reduction="sum")
                for r in (references, references.flip(-2))
            )
            optimizer.zero_grad()
            ((own - 0.05 * other) / references.numel()).backward()
            nn.utils.clip_grad_norm_(weights.values(), 1.0)
            optimizer.step()
            step += 1
    settings = {"hidden": HIDDEN, "layers": 2, "frames": FRAMES, "batch_size": BATCH}
    trained = DRNN(**settings, recurrent=recurrent, epochs=EPOCHS, precision="float32").fit(tracks)
    assert trained.weights_.keys() == weights.keys()
    for name, weight in weights.items():
        assert np.array_equal(trained.weights_[name], weight.detach().numpy()), name


def test_the_trained_rnmf_has_the_weights_of_a_bare_loop(tracks, dev):
    method = SupervisedRNMF(atoms=8, epochs=EPOCHS)
    excerpts = TrainingExcerpts(tracks, 1.0, 1024, 512, 50, 0, "random", "any", 0)
    network = method.network(513, 16_000)
    method.prepare(network, excerpts)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for epoch in range(EPOCHS):
        for batch in epoch_batches(excerpts, epoch, 16):
            x, references = excerpts.magnitudes(batch)
            parts = network(x)
            shares = parts / (parts.sum(-2, keepdim=True) + 1e-12)
            loss = (shares * x.unsqueeze(-2) - references).square().sum()
            optimizer.zero_grad()
            (loss / references.numel()).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        schedule.step()
    method.fit(tracks, dev)
    for name, weight in network.state_dict().items():
        assert np.array_equal(method.weights_[name], weight.numpy()), name
