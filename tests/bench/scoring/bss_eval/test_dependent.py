from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.scoring.bss_eval import dependent
from bench.scoring.bss_eval.api import References, bss_eval_images, bss_eval_sources

TAPS, N_SAMPLES = 64, 4000


def delayed(signals):
    """Return the delayed copies of signals as the columns of a matrix, each of unit energy."""
    matrix = np.zeros((N_SAMPLES + TAPS - 1, TAPS * len(signals)))
    for i, signal in enumerate(signals):
        for tap in range(TAPS):
            matrix[tap : tap + N_SAMPLES, i * TAPS + tap] = signal
    return matrix / np.linalg.norm(matrix, axis=0)


def project(matrix, estimate):
    """Project by a QR decomposition of the signals, which squares no condition number."""
    basis, _ = np.linalg.qr(matrix)
    padded = np.concatenate([estimate, np.zeros(TAPS - 1)])
    once = basis @ (basis.T @ padded)
    return once + basis @ (basis.T @ (padded - once)), padded


def by_qr(references, estimates):
    """Return SDR, SIR and SAR of version 3 in mono, ``(3, target)``."""
    both = delayed(references[:, 0])
    scores = []
    for reference, estimate in zip(references[:, 0], estimates[:, 0], strict=True):
        target, padded = project(delayed([reference]), estimate)
        whole, _ = project(both, estimate)
        energies = [np.square(x).sum() for x in (target, whole - target, padded - whole)]
        error = np.square(padded - target).sum()
        whole_energy = np.square(whole).sum()
        scores.append([energies[0] / error, energies[0] / energies[1], whole_energy / energies[2]])
    return 10 * np.log10(scores).T


def near_pair(difference, kernel, seed=0):
    """Return references of which one is a filtered other plus a small signal, and estimates."""
    rng = np.random.default_rng(seed)
    first, small = rng.standard_normal((2, N_SAMPLES))
    second = np.convolve(first, kernel)[:N_SAMPLES] + difference * small
    references = np.stack([first, second])[:, None]
    noise = 0.04 * rng.standard_normal(references.shape)
    return references, references + noise + 0.03 * small


@pytest.mark.parametrize("kernel", [[1.0], [0.7], [0.0, 0.0, 0.8], [0.9, 0.3, -0.2, 0.1]])
@pytest.mark.parametrize("difference", [1e-5, 1e-6, 1e-7, 1e-8])
def test_nearly_dependent_references_have_the_scores_of_a_qr_decomposition(difference, kernel):
    references, estimates = near_pair(difference, kernel)
    scores = bss_eval_sources(references, estimates, TAPS)
    expected = by_qr(references, estimates)
    assert np.abs(np.stack([scores.sdr, scores.sir, scores.sar]) - expected).max() < 1e-3


@pytest.mark.parametrize("difference", [1e-6, 1e-8])
def test_version_4_has_the_same_filters(difference):
    references, estimates = near_pair(difference, [0.7])
    prepared = References(references, TAPS)
    whole, _ = prepared._dependent_filters(torch.from_numpy(estimates))
    for j, estimate in enumerate(estimates[:, 0]):
        filtered = sum(
            np.convolve(reference, whole[:, i, j, 0].numpy())
            for i, reference in enumerate(references[:, 0])
        )
        expected, _ = project(delayed(references[:, 0]), estimate)
        assert np.abs(filtered - expected).max() < 1e-6 * np.abs(expected).max()
    scores = bss_eval_images(references, estimates, 2000, 2000, TAPS)
    apart, _ = near_pair(1.0, [0.7])
    assert np.isfinite(scores.sar).all()
    assert not References(apart, TAPS).are_near


def test_channels_of_a_target_that_are_nearly_equal_are_found_too():
    rng = np.random.default_rng(0)
    left, small, other = rng.standard_normal((3, N_SAMPLES))
    references = np.stack([np.stack([left, left + 1e-7 * small]), np.stack([other, small])])
    estimates = references + 0.1 * rng.standard_normal(references.shape)
    prepared = References(references, TAPS)
    assert prepared.are_near
    scores = prepared.score_sources(estimates)
    apart = References(np.stack([np.stack([left, small]), np.stack([other, small])]), TAPS)
    assert scores.sdr[0] == pytest.approx(apart.score_sources(estimates).sdr[0], abs=0.2)


def test_equal_channels_add_nothing_and_are_not_near():
    rng = np.random.default_rng(0)
    left, other, third = 0.3 * rng.standard_normal((3, N_SAMPLES))
    references = np.stack([np.stack([left, left]), np.stack([other, third])])
    prepared = References(references, TAPS)
    assert not prepared.are_near
    assert References(references[:, :, :50], TAPS).are_near  # too short for the filters


def test_filters_that_do_not_settle_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(dependent, "N_STEPS", 1)
    with pytest.raises(BenchError, match="leave out the one that is a copy of another"):
        bss_eval_sources(*near_pair(1e-7, [0.7]), TAPS)
