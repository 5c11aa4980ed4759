from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms import low_rank
from baselines.algorithms.low_rank import (
    SingularValueThreshold,
    singular_value_threshold,
    soft_threshold,
    spectral_norm,
)


def thresholded(matrix, threshold):
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    return (u * np.maximum(s - threshold, 0)) @ v


def graded(rng, m=60, n=40):
    u, _ = np.linalg.qr(rng.standard_normal((m, n)))
    v, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return (u * np.geomspace(1.0, 1e-4, n)) @ v.T


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40)])
def test_the_gram_matrix_gives_the_threshold_of_a_full_decomposition(shape):
    matrix = np.random.default_rng(3).standard_normal(shape)
    assert np.abs(singular_value_threshold(matrix, 4.0) - thresholded(matrix, 4.0)).max() < 1e-10
    assert spectral_norm(matrix) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-12)


def test_soft_threshold_pulls_towards_zero():
    assert soft_threshold(np.array([-3.0, -0.5, 0.0, 2.0]), 1.0).tolist() == [-2.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_the_expansion_is_right_to_second_order_at_any_level(scale):
    rng = np.random.default_rng(4)
    matrix = graded(rng)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    errors = []
    for size in (2e-2, 2e-3):
        # Each singular direction moves in proportion to its size, as along a solver's path.
        near = (u @ (np.eye(40) + size * rng.standard_normal((40, 40))) * s) @ v
        step = SingularValueThreshold(scale)
        step(scale * matrix, scale * 1e-3)
        first = step.near
        computed = step(scale * near, scale * 9e-4)
        assert step.near is first, "the second matrix was decomposed anew"
        error = computed / scale - thresholded(near, 9e-4)
        errors.append(np.linalg.norm(error))
    assert errors[0] < 1e-4
    assert errors[1] < errors[0] / 50  # 100 by the order, less what single precision leaves


def test_a_matrix_far_from_the_last_is_decomposed_anew():
    rng = np.random.default_rng(5)
    step = SingularValueThreshold(1.0)
    for _ in range(2):
        matrix = graded(rng)
        computed = step(matrix, 1e-3)
        assert np.abs(computed - thresholded(matrix, 1e-3)).max() < 1e-9


def test_high_thresholds_are_taken_in_single_precision_and_the_highest_give_nothing():
    matrix = graded(np.random.default_rng(6))
    step = SingularValueThreshold(1.0)
    assert np.abs(step(matrix, 0.1) - thresholded(matrix, 0.1)).max() < 1e-5
    assert step.near is None
    assert not step(matrix, 10.0).any()
    assert not step(np.zeros((8, 5)), 1.0).any()


def test_a_wide_matrix_is_thresholded_as_its_transpose():
    rng = np.random.default_rng(7)
    tall, wide = SingularValueThreshold(1.0), SingularValueThreshold(1.0)
    for threshold in (0.1, low_rank.SINGLE / 2, low_rank.SINGLE / 3):
        matrix = graded(rng)
        assert np.array_equal(tall(matrix, threshold), wide(matrix.T, threshold).T)
