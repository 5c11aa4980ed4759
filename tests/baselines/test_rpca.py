from __future__ import annotations

import numpy as np
import pytest

from baselines.rpca import RPCA, robust_pca, singular_value_threshold, soft_threshold
from bench import stft


def planted(rng, m=120, n=90, rank=4, share=0.05):
    low = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n)) / np.sqrt(rank)
    sparse = np.where(rng.random((m, n)) < share, rng.choice([-5.0, 5.0], (m, n)), 0.0)
    return low, sparse


@pytest.mark.parametrize("shape", [(120, 90), (90, 120)])
def test_a_planted_low_rank_and_sparse_matrix_is_recovered(shape):
    low, sparse = planted(np.random.default_rng(0), *shape)
    got_low, got_sparse = robust_pca(low + sparse)
    assert np.linalg.norm(got_low - low) < 1e-5 * np.linalg.norm(low)
    assert np.linalg.norm(got_sparse - sparse) < 1e-5 * np.linalg.norm(sparse)


def test_the_parts_add_up_and_have_no_better_neighbour():
    matrix = np.abs(np.random.default_rng(1).standard_normal((40, 60)))
    low, sparse = robust_pca(matrix)
    assert np.linalg.norm(matrix - low - sparse) < 1e-7 * np.linalg.norm(matrix)

    def objective(low):
        weight = 1 / np.sqrt(60)
        return np.linalg.norm(low, "nuc") + weight * np.abs(matrix - low).sum()

    rng = np.random.default_rng(2)
    least = objective(low)
    for scale in (1e-3, 1e-2, 1e-1):
        for _ in range(10):
            assert objective(low + scale * rng.standard_normal(low.shape)) >= least * (1 - 1e-6)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40)])
def test_the_gram_matrix_gives_the_threshold_of_a_full_decomposition(shape):
    matrix = np.random.default_rng(3).standard_normal(shape)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    expected = (u * np.maximum(s - 4.0, 0)) @ v
    assert np.abs(singular_value_threshold(matrix, 4.0) - expected).max() < 1e-10


def test_soft_threshold_pulls_towards_zero():
    assert soft_threshold(np.array([-3.0, -0.5, 0.0, 2.0]), 1.0).tolist() == [-2.0, 0.0, 0.0, 1.0]


def test_a_steady_chord_is_accompaniment_and_a_chirp_over_it_is_voice():
    t = np.arange(3 * 16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330))
    chirp = np.sin(2 * np.pi * (500 * t + 200 * t**2))
    estimates = RPCA().separate((chord + chirp)[None], 16_000)
    steady, moving = (np.abs(stft.forward(s[None])) ** 2 for s in (chord, chirp))
    for name, own, other in (("vocals", moving, steady), ("accompaniment", steady, moving)):
        power = np.abs(stft.forward(estimates[name])) ** 2
        assert (power * own).sum() / own.sum() > (power * other).sum() / other.sum()
