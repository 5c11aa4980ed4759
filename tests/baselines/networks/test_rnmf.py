from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from baselines.algorithms.nmf import robust_nmf
from baselines.networks.rnmf import SupervisedRNMF
from baselines.networks.unrolled import LAYERS, Unrolled
from baselines.rnmf import RNMF
from bench.methods.context import FitContext


def planted(seed=0, m=60, n=80, rank=4):
    """A low-rank and a sparse non-negative part."""
    rng = np.random.default_rng(seed)
    low = rng.gamma(1.0, 1.0, (m, rank)) @ rng.gamma(1.0, 1.0, (rank, n)) / rank
    sparse = np.where(rng.random((m, n)) < 0.05, 5 + rng.gamma(2.0, 2.0, (m, n)), 0.0)
    return low, sparse


@pytest.mark.parametrize(("ridge", "weight"), [(0.0, 0.1), (1.0, 0.5), (5.0, 3.0)])
def test_the_cost_never_rises(ridge, weight):
    low, sparse = planted()
    matrix = low + sparse

    def cost(iterations):
        w, h, o = robust_nmf(matrix, 5, ridge, weight, iterations, 0)
        fit = 0.5 * np.square(matrix - w @ h - o).sum()
        return fit + 0.5 * ridge * (np.square(w).sum() + np.square(h).sum()) + weight * o.sum()

    costs = [cost(iterations) for iterations in range(150)]
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(costs))
    assert costs[-1] < 0.5 * costs[0]


def test_a_planted_low_rank_and_sparse_matrix_is_told_apart():
    low, sparse = planted()
    w, h, o = robust_nmf(low + sparse, 4, 0.01, 0.3, 2000, 0)
    assert np.linalg.norm(o - sparse) < 0.15 * np.linalg.norm(sparse)
    assert np.linalg.norm(w @ h - low) < 0.15 * np.linalg.norm(low)
    assert min(part.min() for part in (w, h, o)) >= 0


def test_silence_has_no_parts():
    w, h, o = robust_nmf(np.zeros((4, 5)), 2, 1.0, 1.0, 10, 0)
    assert not (w @ h).any()
    assert not o.any()


def test_the_network_starts_as_steps_of_the_solver():
    generator = torch.Generator().manual_seed(0)
    w = torch.rand(12, 3, generator=generator, dtype=torch.float64)
    x = torch.rand(7, 12, generator=generator, dtype=torch.float64)
    ridge, weight = 0.2, 0.1
    network = Unrolled(w, ridge, weight).double()
    voice, backing = network(x).unbind(-2)
    step = 1 / (float(torch.linalg.matrix_norm(w, 2)) ** 2 + ridge)

    def cost(h):
        o = torch.relu(x - h @ w.T - weight)
        fit = 0.5 * (x - h @ w.T - o).square().sum()
        return float(fit + 0.5 * ridge * h.square().sum() + weight * o.sum())

    h, costs = torch.zeros(7, 3, dtype=torch.float64), []
    for _ in range(LAYERS):
        costs.append(cost(h))
        o = torch.relu(x - h @ w.T - weight)
        h = torch.relu(h + step * ((x - h @ w.T - o) @ w - ridge * h))
    costs.append(cost(h))
    assert costs == sorted(costs, reverse=True)
    assert torch.allclose(backing, h @ w.T, atol=1e-6)
    assert torch.allclose(voice, torch.relu(x - h @ w.T - weight), atol=1e-6)


class Losses(FitContext):
    def __init__(self):
        self.losses = []

    def log_metrics(self, step, values):
        self.losses.append(values["train/loss"])


def test_training_lowers_the_loss_and_separates_better_than_the_solver_alone(tracks, test_track):
    log = Losses()
    trained = SupervisedRNMF(atoms=10, epochs=15).fit(tracks, (), log)
    assert log.losses[-1] < 0.7 * log.losses[0]

    def gain(method):
        estimate = method.separate(test_track.mixture, test_track.rate)["vocals"]
        voice, other = (test_track.references[t] for t in ("vocals", "accompaniment"))
        return 10 * np.log10(np.sum(other**2) / np.sum((estimate - voice) ** 2))

    assert gain(trained) > max(gain(RNMF()), 0) + 1
