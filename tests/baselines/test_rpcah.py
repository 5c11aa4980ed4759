from __future__ import annotations

import numpy as np
import pytest

from baselines.rpcah import TOLERANCE, harmonic_pca


def planted(seed=0, m=60, n=80):
    rng = np.random.default_rng(seed)
    low = rng.standard_normal((m, 2)) @ rng.standard_normal((2, n))
    sparse = np.where(rng.random((m, n)) < 0.04, 6 * rng.standard_normal((m, n)), 0.0)
    return low, sparse


def test_both_parts_add_up_to_the_matrix():
    low, sparse = planted()
    parts = harmonic_pca(low + sparse, sparse, 1 / 80**0.5, 2 / 80**0.5)
    error = np.linalg.norm(sum(parts) - low - sparse)
    assert error < 2 * TOLERANCE * np.linalg.norm(low + sparse)


def cost(low, sparse, prior, weight, pull):
    ranks = np.linalg.norm(low, "nuc")
    return ranks + weight * np.abs(sparse).sum() + pull / 2 * np.square(sparse - prior).sum()


@pytest.mark.parametrize("pull", [0.05, 0.3])
def test_no_split_nearby_is_better(pull):
    low, sparse = planted()
    matrix, weight = low + sparse, 1 / 80**0.5
    split_low, split_sparse = harmonic_pca(matrix, sparse, weight, pull)
    best = cost(split_low, split_sparse, sparse, weight, pull)
    assert best <= cost(low, sparse, sparse, weight, pull) * (1 + 1e-3)
    rng = np.random.default_rng(1)
    for size in (0.3, 0.03):
        for _ in range(20):
            moved = split_sparse + size * rng.standard_normal(split_sparse.shape)
            assert cost(matrix - moved, moved, sparse, weight, pull) > best * (1 - 1e-3)


def test_a_prior_draws_the_sparse_part_to_it():
    low, sparse = planted()
    matrix, weight = low + sparse, 1 / 80**0.5
    without = harmonic_pca(matrix, np.zeros_like(matrix), weight, 0.0)[1]
    drawn = harmonic_pca(matrix, sparse + 1.0, weight, 5.0)[1]
    assert np.linalg.norm(drawn - sparse - 1) < 0.5 * np.linalg.norm(without - sparse - 1)
