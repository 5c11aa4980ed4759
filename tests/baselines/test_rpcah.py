from __future__ import annotations

import numpy as np
import pytest

from baselines.pitch import PitchMask, comb, pitch_track
from baselines.rpcah import TOLERANCE, harmonic_pca

RATE = 16_000


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
    found, rest = harmonic_pca(matrix, sparse, weight, pull)
    best = cost(found, rest, sparse, weight, pull)
    assert best <= cost(low, sparse, sparse, weight, pull) * (1 + 1e-3)
    rng = np.random.default_rng(1)
    for size in (0.3, 0.03):
        for _ in range(20):
            moved = rest + size * rng.standard_normal(rest.shape)
            assert cost(matrix - moved, moved, sparse, weight, pull) > best * (1 - 1e-3)


def test_a_prior_draws_the_sparse_part_to_it():
    low, sparse = planted()
    matrix, weight = low + sparse, 1 / 80**0.5
    without = harmonic_pca(matrix, np.zeros_like(matrix), weight, 0.0)[1]
    drawn = harmonic_pca(matrix, sparse + 1.0, weight, 5.0)[1]
    assert np.linalg.norm(drawn - sparse - 1) < 0.5 * np.linalg.norm(without - sparse - 1)


def test_a_comb_holds_the_harmonics_and_nothing_of_unvoiced_frames():
    mask = comb(np.array([200.0, 0.0, 310.0]), 513, RATE, 70.0)
    hertz = np.linspace(0, 8000, 513)
    for frame, pitch in ((0, 200.0), (2, 310.0)):
        away = np.abs(hertz - np.maximum(np.round(hertz / pitch), 1) * pitch)
        assert np.array_equal(mask[:, frame], away <= 35)
    assert not mask[:, 1].any()
    assert not mask[hertz < 100].any()


def test_a_sung_note_is_tracked_and_silence_is_unvoiced():
    time = np.arange(RATE) / RATE
    note = sum(np.sin(2 * np.pi * h * 220 * time) / h for h in range(1, 6)) * (time > 0.5)
    pitch = pitch_track(note, RATE, 512, RATE // 512 + 1)
    assert np.median(pitch[20:30]) == pytest.approx(220, rel=0.01)
    assert not pitch[:12].any()
    assert not pitch_track(np.zeros(RATE), RATE, 512, 20).any()


def test_a_comb_keeps_a_voice_and_leaves_a_noise_between_its_harmonics():
    time = np.arange(2 * RATE) / RATE
    voice = 0.1 * sum(np.sin(2 * np.pi * h * 330 * time) / h for h in range(1, 8))[None]
    noise = 0.02 * np.random.default_rng(0).standard_normal((1, 2 * RATE))
    estimate = PitchMask().separate(voice + noise, RATE)["vocals"]
    assert np.sum((estimate - voice) ** 2) < 0.5 * np.sum(noise**2)
