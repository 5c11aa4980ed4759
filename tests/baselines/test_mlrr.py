from __future__ import annotations

import numpy as np
import pytest

from baselines.mlrr import MLRR, TOLERANCE, learnt_dictionary, low_rank_representation
from bench.methods.context import FitContext
from bench.track import TARGETS, Track


@pytest.fixture
def problem():
    """Two dictionaries, low-rank representations in them, and their sum."""
    rng = np.random.default_rng(0)
    dictionaries = [np.abs(rng.standard_normal((60, 12))) / 8 for _ in range(2)]
    zs = [rng.standard_normal((12, 2)) @ rng.standard_normal((2, 50)) for _ in range(2)]
    return dictionaries, zs, sum(d @ z for d, z in zip(dictionaries, zs, strict=True))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.05, 0.2, 1.0])
def test_the_constraint_holds(problem, beta, weight):
    dictionaries, _, matrix = problem
    zs, rest = low_rank_representation(matrix, dictionaries, beta, weight)
    whole = sum(d @ z for d, z in zip(dictionaries, zs, strict=True)) + rest
    assert np.linalg.norm(whole - matrix) < 10 * TOLERANCE * np.linalg.norm(matrix)


def cost(zs, rest, beta, weight):
    ranks = [np.linalg.norm(z, "nuc") for z in zs]
    return ranks[0] + beta * ranks[1] + weight * np.abs(rest).sum()


def test_no_feasible_point_nearby_or_planted_is_better(problem):
    dictionaries, planted, matrix = problem
    beta, weight = 1.0, 0.3
    zs, rest = low_rank_representation(matrix, dictionaries, beta, weight)
    best = cost(zs, rest, beta, weight)
    assert best <= cost(planted, np.zeros_like(matrix), beta, weight) * (1 + 1e-3)
    rng = np.random.default_rng(1)
    for size in (0.3, 0.03):
        for _ in range(20):
            moved = [z + size * rng.standard_normal(z.shape) * np.abs(z).mean() for z in zs]
            left = matrix - sum(d @ z for d, z in zip(dictionaries, moved, strict=True))
            assert cost(moved, left, beta, weight) > best * (1 - 1e-3)


def test_a_source_in_one_dictionary_is_represented_there(problem):
    dictionaries, planted, _ = problem
    zs, _ = low_rank_representation(dictionaries[0] @ planted[0], dictionaries, 1.0, 0.3)
    parts = [np.linalg.norm(d @ z) for d, z in zip(dictionaries, zs, strict=True)]
    assert parts[0] > 5 * parts[1]


def test_silence_has_no_parts():
    zs, rest = low_rank_representation(np.zeros((6, 4)), [np.ones((6, 2))] * 2, 1.0, 1.0)
    assert not any(z.any() for z in zs)
    assert not rest.any()


def test_a_dictionary_is_non_negative_and_spans_what_it_learnt_from():
    rng = np.random.default_rng(0)
    true = rng.gamma(0.5, 1.0, (5, 40))
    frames = rng.gamma(0.5, 1.0, (300, 5)) @ true
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    dictionary = learnt_dictionary(frames, 8, 60, 0, lambda _: None)
    assert dictionary.shape == (40, 8)
    assert dictionary.min() >= 0
    coded, *_ = np.linalg.lstsq(dictionary, frames.T, rcond=None)
    assert np.linalg.norm(dictionary @ coded - frames.T) < 0.15 * np.linalg.norm(frames)


def test_both_channels_of_a_stereo_track_are_learnt_from():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 2, 8000))  # (target, samples) each
    silence = np.zeros_like(left)

    def learnt(first, second):
        pairs = zip(TARGETS, first, second, strict=True)
        track = Track("stereo", 16_000, {target: np.stack(channels) for target, *channels in pairs})
        return MLRR(atoms=4, iterations=3).fit([track]).dictionaries_["vocals"]

    alone = learnt(silence, right)  # whatever the left channel holds, the right one is heard
    assert np.linalg.norm(alone, axis=0).min() > 0
    assert not np.array_equal(learnt(left, right), learnt(left, left))


class Progress(FitContext):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, int]] = []

    def report_progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        self.reports.append((done, total))


def test_progress_goes_through_both_dictionaries_once():
    rng = np.random.default_rng(0)
    track = Track("a", 16_000, {target: rng.standard_normal((1, 8000)) for target in TARGETS})
    progress = Progress()
    MLRR(atoms=4, iterations=3).fit([track], (), progress)
    assert progress.reports == [(done, 6) for done in range(1, 7)]
