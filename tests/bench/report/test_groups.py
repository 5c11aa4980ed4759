"""Correlation within songs, design effect, and intervals whose coverage is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

from bench.report.groups import group_facts, intraclass_correlation
from bench.report.rows import Row
from bench.report.statistics import bootstrap_interval
from bench.report.track_tables import TrackTable
from bench.scoring.aggregate import mean
from tests.benchmarks.intervals import (
    CLIPS_102,
    CLIPS_825,
    coverage,
    coverage_with_singers,
    simulated,
)

#: Coverages of a nominal 95 % interval that count as right, as in the benchmark's own report.
LOWEST, HIGHEST = 0.93, 0.97


def table(values, songs, singers=None) -> TrackTable:
    names = [f"t{i:03d}" for i in range(len(songs))]
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return TrackTable(names, values, np.ones(len(songs)), songs, singers or [""] * len(songs))


def row(label, group="supervised") -> Row:
    return Row(label, label, group, "", "done", 1)


def test_intervals_over_songs_cover_as_they_say_and_those_over_clips_do_not():
    over_songs = coverage(CLIPS_102, correlation=0.44, n_simulations=500, unit="song")
    over_clips = coverage(CLIPS_102, correlation=0.44, n_simulations=500, unit="clip")
    assert LOWEST <= over_songs <= HIGHEST
    assert over_clips < over_songs


def test_many_clips_a_song_make_an_interval_over_clips_far_too_narrow():
    assert (sum(CLIPS_102), sum(CLIPS_825), len(CLIPS_825)) == (102, 825, 89)
    assert LOWEST <= coverage(CLIPS_825, 0.44, 400, "song") <= HIGHEST
    assert coverage(CLIPS_825, 0.44, 200, "clip") < 0.8


def test_only_intervals_over_singers_cover_where_songs_of_a_singer_are_alike():
    over_songs, over_singers = coverage_with_singers(200)
    assert over_songs < 0.88
    assert 0.92 <= over_singers <= 0.98


def test_the_correlation_of_simulated_scores_is_the_one_they_were_made_with():
    rng = np.random.default_rng(0)
    sizes = [1] * 200 + [2] * 200 + [6] * 50
    songs = [str(i) for i, n in enumerate(sizes) for _ in range(n)]
    estimates = [intraclass_correlation(simulated(sizes, 0.4, rng), songs) for _ in range(20)]
    assert np.mean(estimates) == pytest.approx(0.4, abs=0.04)


def test_no_correlation_where_every_track_is_a_song_or_all_are_one():
    values = np.array([1.0, 2.0, 4.0])
    assert math.isnan(intraclass_correlation(values, ["a", "b", "c"]))
    assert math.isnan(intraclass_correlation(values, ["a", "a", "a"]))
    assert math.isnan(intraclass_correlation(np.ones(4), ["a", "a", "b", "b"]))
    with_infinity = np.array([1.0, 1.0, 5.0, 5.0, -np.inf])
    assert intraclass_correlation(with_infinity, ["a", "a", "b", "b", "b"]) == 1


def test_the_design_effect_is_that_of_kish():
    rng = np.random.default_rng(1)
    sizes = [3] * 40
    songs = [f"s{i // 3}" for i in range(120)]
    values = simulated(sizes, 0.5, rng)
    facts = group_facts([row("a")], "gnsdr", {("a", "gnsdr"): table(values, songs)}, "a")
    assert facts.design_effect == pytest.approx(1 + 2 * facts.song_correlation)
    assert (facts.n_tracks, facts.n_songs, facts.n_singers) == (120, 40, 0)
    assert facts.unit == "songs"
    single = table(values[:40], [str(i) for i in range(40)])
    assert group_facts([row("a")], "gnsdr", {("a", "gnsdr"): single}, "a").unit == "tracks"


def test_the_least_difference_is_told_apart_in_four_of_five_test_sets():
    rng = np.random.default_rng(2)
    songs = [str(i) for i in range(30)]
    seen, n = 0, 400
    quantile = scipy.special.stdtrit(29, 0.975)
    differences = rng.normal(0, 1.0, (n, 30))
    least = []
    for difference in differences:
        base = rng.normal(0, 5, 30)
        tables = {("a", "m"): table(base + 10, songs), ("b", "m"): table(base + difference, songs)}
        least.append(group_facts([row("a"), row("b")], "m", tables, "a").least_difference)
    typical = float(np.median(least))
    for difference in differences:
        t = (difference.mean() + typical) / (difference.std(ddof=1) / math.sqrt(30))
        seen += abs(t) > quantile
    assert seen / n == pytest.approx(0.8, abs=0.05)


def test_an_interval_over_songs_of_one_clip_is_that_over_clips():
    values = np.random.default_rng(3).normal(0, 1, (2, 25))
    songs = [f"song {i}" for i in range(25)]
    over_songs = bootstrap_interval(values, np.ones(25), mean, songs)
    assert over_songs == bootstrap_interval(values, np.ones(25), mean)
