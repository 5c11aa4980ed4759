from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms.repetition import (
    adaptive_part,
    beat_spectrum,
    repeating_part,
    repeating_period,
)
from baselines.repet import REPET
from baselines.repet_sim import REPETSIM, similar_part
from bench.track import TARGETS, Track

PERIOD, REPEATS, BINS = 23, 7, 40


@pytest.fixture
def pattern():
    """One period of a repeating background."""
    return np.random.default_rng(0).gamma(0.5, 1.0, (BINS, PERIOD))


@pytest.fixture
def voice():
    """A few bins that never come back at the same place."""
    rng = np.random.default_rng(1)
    shape = (BINS, PERIOD * REPEATS)
    return np.where(rng.random(shape) < 0.05, rng.gamma(2.0, 1.0, shape), 0.0)


def test_a_beat_spectrum_is_1_at_0_and_peaks_at_the_planted_period(pattern):
    beat = beat_spectrum(np.tile(pattern, REPEATS))
    assert beat[0] == pytest.approx(1)
    assert np.allclose(beat[PERIOD::PERIOD][:-1], 1, atol=1e-6)
    assert np.delete(beat, np.arange(0, len(beat), PERIOD))[: 5 * PERIOD].max() < 0.9


@pytest.mark.parametrize("shortest", [5, 12, 23])
def test_the_planted_period_is_found_under_a_voice(pattern, voice, shortest):
    beat = beat_spectrum(np.tile(pattern, REPEATS) + voice)
    assert repeating_period(beat, shortest, 60) == PERIOD


def test_the_median_over_repeats_is_the_planted_background(pattern, voice):
    background = np.tile(pattern, REPEATS)
    repeating = repeating_part(background + voice, PERIOD)
    assert np.array_equal(repeating_part(background, PERIOD), background)
    assert np.abs(repeating - background).sum() < 0.05 * voice.sum()


def test_a_partial_last_repeat_counts_as_far_as_it_goes(pattern):
    background = np.tile(pattern, REPEATS)[:, : 3 * PERIOD + 5]
    assert np.array_equal(repeating_part(background, PERIOD), background)


def test_the_adaptive_median_follows_a_period_that_changes():
    rng = np.random.default_rng(2)
    first, second = rng.gamma(0.5, 1.0, (BINS, 11)), rng.gamma(0.5, 1.0, (BINS, 17))
    background = np.concatenate([np.tile(first, 7), np.tile(second, 5)], axis=1)
    periods = np.repeat([11, 17], [77, 85])
    repeating = adaptive_part(background, periods, 5)
    inside = np.r_[22:55, 111:128]
    assert np.allclose(repeating[:, inside], background[:, inside])
    fixed = repeating_part(background, 11)
    assert np.abs(fixed - background).sum() > 5 * np.abs(repeating - background).sum()


def test_similar_frames_give_the_background_wherever_it_comes_back(pattern, voice):
    order = np.random.default_rng(3).permutation(np.repeat(np.arange(PERIOD), REPEATS))
    background = pattern[:, order]
    quiet = 0.2 * voice  # the frames must stay alike under it
    repeating = similar_part(background + quiet, 5, 1)
    assert np.abs(repeating - background).sum() < 0.5 * quiet.sum()


def test_a_sound_that_lasts_is_one_similar_frame():
    """A voice holds for 6 frames over a chord that comes back 4 times without it."""
    rng = np.random.default_rng(5)
    chord, voice = rng.gamma(0.5, 1.0, (BINS, 1)), 0.5 * rng.gamma(0.5, 1.0, (BINS, 6))
    gap = rng.gamma(0.5, 1.0, (BINS, 40))
    returns = [part for i in range(0, 40, 10) for part in (gap[:, i : i + 10], chord)]
    magnitude = np.concatenate([chord + voice, *returns], axis=1)
    assert np.allclose(similar_part(magnitude, 5, 6)[:, :6], chord), "the chord in most of 5 frames"
    assert not np.allclose(similar_part(magnitude, 5, 0)[:, :6], chord, atol=0.1)


def test_similar_frames_do_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    magnitude = np.random.default_rng(6).gamma(0.5, 1.0, (BINS, 100))
    magnitude[:, 40:50] = 0
    whole = similar_part(magnitude, 5, 3)
    assert not whole[:, 40:50].any()
    monkeypatch.setattr("baselines.repet_sim._BLOCK", 7)
    assert np.allclose(similar_part(magnitude, 5, 3), whole)


def test_too_few_frames_to_compare_are_left_as_they_are():
    magnitude = np.random.default_rng(4).gamma(0.5, 1.0, (4, 9))
    for n_frames in (1, 2, 3):
        few = magnitude[:, :n_frames]
        assert np.array_equal(similar_part(few, 5, 10), few)
    assert not np.array_equal(similar_part(magnitude, 5, 1), magnitude), "enough to compare"


@pytest.mark.parametrize("method", [REPET(), REPET(form="adaptive"), REPETSIM()])
def test_a_looped_accompaniment_is_told_from_a_voice_over_it(method):
    rate, period = 16_000, 64 * 256
    rng = np.random.default_rng(0)
    loop = np.zeros(period)
    for start in (0, 20, 27, 41):
        n = period - start * 256
        loop[start * 256 :] += rng.standard_normal(n) * np.exp(-np.arange(n) / 1500)
    time = np.arange(8 * period) / rate
    pitch = 200 + 300 * time / time[-1] + 20 * np.sin(2 * np.pi * 5.3 * time)
    voice, loops = 0.1 * np.sin(2 * np.pi * np.cumsum(pitch) / rate), np.tile(loop, 8)
    loops *= np.linalg.norm(voice) / np.linalg.norm(loops)
    track = Track("loop", rate, dict(zip(TARGETS, (voice[None], loops[None]), strict=True)))
    estimate = method.separate(track.mixture, rate)["vocals"][0]
    gain = 10 * np.log10(np.sum(loops**2) / np.sum((estimate - voice) ** 2))
    assert gain > 6
