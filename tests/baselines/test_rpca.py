from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms.robust_pca import robust_pca
from baselines.rpca import RPCA
from bench import stft
from bench.datasets.synthetic import Synthetic


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


def music():
    """Return the magnitudes of a track of the synthetic corpus."""
    return np.abs(stft.forward(Synthetic().tracks("train")[0].mixture, 1024, 256)[0])


def full(matrix, rho, tolerance, most=5000):
    """Robust PCA by full singular value decompositions in double precision."""
    weight = 1 / np.sqrt(max(matrix.shape))
    spectral = np.linalg.norm(matrix, 2)
    y = matrix / max(spectral, np.abs(matrix).max() / weight)
    mu, largest, low = 1.25 / spectral, 1.25e7 / spectral, np.zeros_like(matrix)
    for _ in range(most):
        a = matrix - low + y / mu
        sparse = np.sign(a) * np.maximum(np.abs(a) - weight / mu, 0)
        u, s, v = np.linalg.svd(matrix - sparse + y / mu, full_matrices=False)
        low = (u * np.maximum(s - 1 / mu, 0)) @ v
        y = y + mu * (matrix - low - sparse)
        mu = min(mu * rho, largest)
        if np.linalg.norm(matrix - low - sparse) < tolerance * np.linalg.norm(matrix):
            break
    return low, sparse


def parts(low, sparse):
    return np.array([np.linalg.norm(low, "nuc"), np.abs(sparse).sum() / np.sqrt(max(low.shape))])


def relative(computed, expected):
    return np.linalg.norm(computed - expected) / np.linalg.norm(expected)


def test_both_parts_are_those_of_full_decompositions_in_double_precision():
    matrix = music()
    computed, expected = robust_pca(matrix), full(matrix, 1.5, 1e-7)
    assert relative(computed[0], expected[0]) < 1e-4
    assert relative(computed[1], expected[1]) < 1e-4
    assert np.abs(parts(*computed) / parts(*expected) - 1).max() < 1e-4


def test_a_slower_growth_of_the_penalty_ends_at_the_least_objective():
    matrix = music()[::4]
    least = parts(*full(matrix, 1.02, 1e-8)).sum()
    assert parts(*robust_pca(matrix, rho=1.1)).sum() == pytest.approx(least, rel=2e-5)
    assert parts(*robust_pca(matrix)).sum() > least * (1 + 1e-4)  # as the docstring warns


def test_a_steady_chord_is_accompaniment_and_a_chirp_over_it_is_voice():
    t = np.arange(3 * 16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330))
    chirp = np.sin(2 * np.pi * (500 * t + 200 * t**2))
    estimates = RPCA().separate((chord + chirp)[None], 16_000)
    steady, moving = (np.abs(stft.forward(s[None])) ** 2 for s in (chord, chirp))
    for name, own, other in (("vocals", moving, steady), ("accompaniment", steady, moving)):
        power = np.abs(stft.forward(estimates[name])) ** 2
        assert (power * own).sum() / own.sum() > (power * other).sum() / other.sum()
