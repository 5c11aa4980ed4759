"""The fast factor of block Toeplitz matrices against NumPy's, and what takes its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scoring.bss_eval import toeplitz
from bench.scoring.bss_eval.api import bss_eval_images, bss_eval_sources
from bench.scoring.bss_eval.projection import Factor, correlations, gram

# Of a relative residual; 512 steps of rounding at 1e-16 each, and they partly cancel.
ROUNDING = 1e-13


def explicit_gram(rows, taps):
    """Products of the delayed rows, by delay and then by row."""
    delayed = [np.pad(row, (i, taps - 1 - i)) for i in range(taps) for row in rows]
    return np.array(delayed) @ np.array(delayed).T


def first_row(lags):
    return lags.permute(1, 2, 0).flatten(1).numpy()


def low_passed(rng, shape, pole):
    """Noise that a one-pole filter and its neighbours colour."""
    rows = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        rows[:, t] += pole * rows[:, t - 1]
    return rows + 0.5 * np.roll(rows, 1, axis=0)


@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.integers(1, 5),
    taps=st.integers(1, 40),
    pole=st.floats(-0.99, 0.99),
    gain=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 999),
)
def test_numpys_cholesky_gives_the_same_factor(n_rows, taps, pole, gain, seed):
    rows = gain * low_passed(np.random.default_rng(seed), (n_rows, 400), pole)
    lags = correlations(torch.from_numpy(rows), [torch.from_numpy(rows)], taps)
    full = explicit_gram(rows, taps)
    upper = np.triu(toeplitz.cholesky(first_row(lags)))
    scale = np.linalg.norm(full)
    assert np.abs(upper.T @ upper - full).max() < ROUNDING * scale
    expected = np.linalg.cholesky(full).T
    assert np.abs(upper - expected).max() < ROUNDING * np.linalg.cond(full) * np.sqrt(scale)
    assert np.abs(gram(lags).numpy() - full).max() < ROUNDING * scale


@settings(max_examples=20, deadline=None)
@given(n_rows=st.integers(1, 4), taps=st.integers(1, 40), seed=st.integers(0, 999))
def test_a_factor_multiplies_and_solves_as_its_matrix(n_rows, taps, seed):
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(low_passed(rng, (n_rows, 400), 0.5))
    factor = Factor(correlations(rows, [rows], taps))
    full = explicit_gram(rows.numpy(), taps)
    x = rng.standard_normal((len(full), 2))
    b = torch.from_numpy(full @ x)
    assert np.allclose(factor.product(torch.from_numpy(x)), b, rtol=1e-9)
    assert np.allclose(factor.solve(b), x, rtol=1e-9, atol=1e-9)
    assert np.isclose(factor.energy(b), (b.numpy() * x).sum(), rtol=1e-9)


@pytest.mark.parametrize("kind", ["equal", "silent", "short", "scaled"])
def test_a_singular_matrix_is_left_to_the_dense_factor(kind):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 20 if kind == "short" else 400))
    if kind != "short":
        rows[1] = {"equal": 1.0, "silent": 0.0, "scaled": -1e-3}[kind] * rows[0]
    signals = torch.from_numpy(rows)
    lags = correlations(signals, [signals], 40)
    factor = Factor(lags)
    full = explicit_gram(rows, 40)
    b = torch.from_numpy(full @ rng.standard_normal((80, 1)))
    exact = b.numpy().T @ np.linalg.pinv(full, rcond=1e-12, hermitian=True) @ b.numpy()
    assert factor.energy(b).item() == pytest.approx(exact.item(), rel=1e-9)


def test_a_factor_that_is_not_exact_enough_is_not_taken(monkeypatch):
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 400)))
    lags = correlations(rows, [rows], 8)
    right = toeplitz.cholesky(first_row(lags))
    wrong = right.copy()
    wrong[3, 7] += 1e-10 * np.abs(right[0, 0])
    factors = []
    for upper in (right, wrong):
        monkeypatch.setattr(toeplitz, "cholesky", lambda first, upper=upper: upper)
        factors.append(Factor(lags).lower)
    assert factors[0] is not None and np.shares_memory(factors[0], right)
    assert not np.shares_memory(factors[1], wrong)
    assert np.allclose(np.tril(factors[1]), np.tril(right.T))


def test_scores_are_the_same_where_numba_cannot_run(monkeypatch, test_track):
    references = np.stack([test_track.references[t] for t in ("vocals", "accompaniment")])
    noise = np.random.default_rng(0).standard_normal(references.shape)
    both = references, references + 0.1 * references[::-1] + 0.01 * noise
    scorers = (bss_eval_sources, lambda r, e: bss_eval_images(r, e, 8000, 8000))
    fast = [scorer(*both) for scorer in scorers]
    monkeypatch.setattr(toeplitz, "compiled", lambda: None)
    for scorer, one in zip(scorers, fast, strict=True):
        other = scorer(*both)
        for name in ("sdr", "sir", "sar"):
            assert np.abs(getattr(one, name) - getattr(other, name)).max() < 1e-8


def test_without_a_folder_for_its_cache_numba_compiles_in_memory(monkeypatch):
    import numba.core.caching

    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(toeplitz.rotate)
    rotated = toeplitz.compiled.__wrapped__()
    upper = np.empty((1, 1))
    assert rotated(np.array([[2.0]]), np.zeros((1, 1)), upper)
    assert upper[0, 0] == 2
