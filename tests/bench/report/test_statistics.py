"""Intervals, tests and ranks over tracks, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from bench.report import statistics
from bench.report.statistics import (
    bootstrap_interval,
    cliques,
    expanded_tail,
    holm,
    least_p_value,
    p_values_against,
    ranks,
    wilcoxon,
)
from bench.report.trainings import Trainings
from bench.scoring.aggregate import mean, median, weighted_mean

RNG = np.random.default_rng(7)
#: Two bootstraps of the same data differ by their draws alone.
DRAWN = 0.05


@pytest.mark.parametrize(
    ("aggregate", "statistic"),
    [
        (mean, lambda v, w, axis: np.mean(v, axis=axis)),
        (median, lambda v, w, axis: np.median(v, axis=axis)),
        (weighted_mean, lambda v, w, axis: (v * w).sum(axis) / w.sum(axis)),
    ],
)
def test_the_interval_is_scipys_percentile_bootstrap(aggregate, statistic):
    values, weights = RNG.normal(5, 2, 60), RNG.uniform(1, 5, 60)
    low, high = bootstrap_interval(values[None], weights, aggregate)
    expected = scipy.stats.bootstrap(
        (values, weights), statistic, paired=True, vectorized=True, method="percentile",
        n_resamples=20_000, confidence_level=1 - 2 * expanded_tail(60),
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert low == pytest.approx(expected.low, abs=DRAWN)
    assert high == pytest.approx(expected.high, abs=DRAWN)


def test_the_interval_of_several_seeds_is_that_of_their_mean():
    seeds = RNG.normal(5, 2, (3, 40))
    both = bootstrap_interval(seeds, np.ones(40), mean)
    assert both == pytest.approx(bootstrap_interval(seeds.mean(axis=0)[None], np.ones(40), mean))
    assert both == bootstrap_interval(seeds, np.ones(40), mean), (
        "the same scores, the same interval"
    )


def test_undefined_tracks_are_left_out_and_infinite_ones_leave_no_interval():
    values = RNG.normal(5, 2, 30)
    holed = np.append(values, [np.nan, np.nan])
    low, high = bootstrap_interval(holed[None], np.ones(32), mean)
    assert low < values.mean() < high
    for bad in ([np.inf, 1.0, 2.0], [np.nan] * 3, [1.0]):
        assert all(map(math.isnan, bootstrap_interval(np.array([bad]), np.ones(len(bad)), mean)))


def test_tracks_of_one_song_are_drawn_together():
    songs = RNG.normal(5, 2, 20)
    tracks, units = np.repeat(songs, 3), [f"s{i // 3}" for i in range(60)]
    together = bootstrap_interval(tracks[None], np.ones(60), mean, units)
    assert together == pytest.approx(bootstrap_interval(songs[None], np.ones(20), mean))
    apart = bootstrap_interval(tracks[None], np.ones(60), mean)
    assert together[1] - together[0] > 1.5 * (apart[1] - apart[0])


@pytest.mark.parametrize("aggregate", [mean, weighted_mean])
def test_sums_over_songs_give_the_interval_that_drawing_each_track_gives(aggregate):
    values, weights = RNG.normal(5, 2, (3, 40)), RNG.uniform(1, 5, 40)
    values[0, :7] = values[2, 20:24] = np.nan
    units = [f"s{int(n)}" for n in RNG.integers(0, 9, 40)]
    assert bootstrap_interval(values, weights, aggregate, units) == pytest.approx(
        bootstrap_interval(values, weights, lambda v, w: aggregate(v, w), units), rel=1e-12
    )


@pytest.mark.parametrize("aggregate", [mean, median, weighted_mean])
def test_songs_of_unequal_sizes_are_drawn_whole(aggregate):
    values, weights = RNG.normal(5, 2, 7), RNG.uniform(1, 5, 7)
    units = ["a", "b", "b", "c", "c", "c", "d"]
    low, high = bootstrap_interval(values[None], weights, aggregate, units)
    draws, over = statistics._draws(4), []
    members = [[0], [1, 2], [3, 4, 5], [6]]
    for draw in draws:
        tracks = [track for unit in draw for track in members[unit]]
        over.append(float(aggregate(values[tracks], weights[tracks])))
    tail = expanded_tail(4)
    assert [low, high] == pytest.approx(list(np.quantile(over, [tail, 1 - tail])))


def test_the_least_p_value_is_that_of_pairs_that_all_differ_to_one_side():
    one = np.arange(1.0, 9.0)
    rows = {"best": one + 1, **{str(i): one * 0.5 ** (i + 1) for i in range(11)}}
    p = p_values_against("best", rows)
    assert min(p.values()) == least_p_value(8, 11) > statistics.ALPHA
    assert least_p_value(10, 11) < statistics.ALPHA


def test_the_p_value_is_scipys_on_the_pairs_that_are_defined():
    one, other = RNG.normal(0, 1, 50), RNG.normal(0.3, 1, 50)
    expected = scipy.stats.wilcoxon(one[:45], other[:45]).pvalue
    one[45:] = np.nan
    assert wilcoxon(one, other) == expected
    assert wilcoxon(one, one) == 1
    assert math.isnan(wilcoxon(one, np.full(50, np.nan)))


def test_an_infinite_score_is_above_every_other_and_equal_to_itself():
    one = np.array([np.inf] * 8)
    assert wilcoxon(one, one) == 1
    assert wilcoxon(one, np.arange(8.0)) == 2 / 2**8  # the smallest that 8 tracks can give


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # By hand: 4 * 0.005, 3 * 0.01, 2 * 0.03 and then no less than it; NaN is no hypothesis.
    assert holm([0.01, 0.04, math.nan, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, math.nan, 0.06, 0.02], nan_ok=True
    )
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_rows_are_compared_with_the_best_alone():
    base = RNG.normal(0, 1, 40)
    rows = {"best": base + 1, "near": base + 1 + RNG.normal(0, 0.5, 40), "far": base}
    p = p_values_against("best", rows)
    assert list(p) == ["near", "far"]
    assert p["near"] > statistics.ALPHA > p["far"]
    assert p["far"] == pytest.approx(2 * scipy.stats.wilcoxon(rows["best"], base).pvalue)


def test_ranks_join_the_rows_that_no_test_tells_apart():
    base = RNG.normal(0, 1, 40)
    rows = {
        "low": base - 5,
        "one": base + RNG.normal(0, 0.1, 40),
        "two": base + RNG.normal(0, 0.1, 40),
        "top": base + 5,
    }
    steady = {label: Trainings([0.0]) for label in rows}
    ranking = ranks(rows, steady)
    assert next(iter(ranking.mean_rank)) == "top"
    assert list(ranking.mean_rank)[-1] == "low"
    assert [sorted(clique) for clique in ranking.cliques] == [["one", "two"]]
    assert sum(ranking.mean_rank.values()) == pytest.approx(1 + 2 + 3 + 4)
    assert ranking.friedman == scipy.stats.friedmanchisquare(*rows.values()).pvalue
    rows["top"] = rows["top"].copy()
    rows["top"][:3] = np.nan
    assert ranks(rows, steady).n_songs == 37
    chance = {label: Trainings([0.0, 9.0], label * 2) for label in rows}
    trained = ranks(rows, chance)
    assert [sorted(clique) for clique in trained.cliques] == [["low", "one", "top", "two"]]
    assert trained.tests_trainings
    assert not ranking.tests_trainings


def test_rows_that_are_all_alike_are_one_clique():
    same = {name: np.arange(10.0) for name in "abc"}
    ranking = ranks(same, {name: Trainings([1.0]) for name in "abc"})
    assert set(ranking.mean_rank.values()) == {2.0}
    assert ranking.cliques == [["a", "b", "c"]]
    assert ranking.friedman == 1
    assert ranks({"a": np.arange(9.0)}, {}) is None
    one_training = {"a": Trainings([1.0], "x"), "b": Trainings([1.0], "y"), "c": Trainings([1.0])}
    rows = {"a": np.arange(20.0) + 9, "b": np.arange(20.0), "c": np.arange(20.0) - 9}
    tested = ranks(rows, one_training)
    assert np.isnan(tested.p_values["a", "b"])
    assert tested.p_values["a", "c"] == tested.p_values["b", "c"] < 0.001
    assert tested.cliques == [["a", "b"]]  # chance may order them
    assert tested.mean_score == {"a": 18.5, "b": 9.5, "c": 0.5}
    assert ranks({"a": np.full(5, np.nan), "b": np.arange(5.0)}, one_training) is None


def test_a_clique_within_another_is_not_drawn():
    alike = {("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")}
    assert cliques("abcd", alike) == [["a", "b", "c"], ["c", "d"]]
