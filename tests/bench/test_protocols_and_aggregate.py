from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.errors import BenchError
from bench.scoring.aggregate import over_tracks, weighted_mean
from bench.scoring.bss_eval import bss_eval_sources
from bench.scoring.protocols import protocol
from bench.track import TARGETS, Track


def noisy(track: Track, level: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    scale = level * np.abs(track.mixture).std()
    return {t: r + scale * rng.standard_normal(r.shape) for t, r in track.references.items()}


def frame(track: Track, estimates) -> pd.DataFrame:
    return pd.DataFrame(protocol("bss_eval_v3").score(track, estimates))


def test_mixture_scores_zero_nsdr(test_track):
    scores = frame(test_track, dict.fromkeys(TARGETS, test_track.mixture))
    assert (scores.query("metric == 'nsdr'")["value"] == 0).all()


def test_nsdr_is_sdr_of_the_estimate_less_sdr_of_the_mixture(test_track):
    scores = frame(test_track, noisy(test_track, 0.3)).set_index(["target", "metric"])["value"]
    references = np.stack([test_track.references[t] for t in TARGETS])
    mixture = bss_eval_sources(references, np.stack([test_track.mixture] * 2))
    for j, target in enumerate(TARGETS):
        assert scores[target, "nsdr"] == scores[target, "sdr"] - mixture.sdr[j]


def test_each_metric_and_target_has_its_own_number(test_track):
    scores = frame(test_track, noisy(test_track, 0.3))
    assert len(scores) == 8
    assert scores["value"].nunique() == 8
    assert set(scores["n_samples"]) == {test_track.n_samples}


def test_a_silent_source_is_undefined_and_no_error():
    rng = np.random.default_rng(0)
    track = Track(
        "a",
        16_000,
        {"vocals": np.zeros((1, 4000)), "accompaniment": rng.standard_normal((1, 4000))},
    )
    scores = frame(track, {t: rng.standard_normal((1, 4000)) for t in TARGETS})
    assert scores.query("target == 'vocals'")["value"].isna().all()
    over = over_tracks(scores).set_index(["target", "metric"])
    assert over.loc[("vocals", "gsir"), "n_undefined"] == 1
    assert np.isnan(over.loc[("vocals", "gsir"), "value"])


def test_an_estimate_that_is_missing_or_no_number_is_refused(test_track):
    good = noisy(test_track, 0.1)
    with pytest.raises(BenchError, match="no estimate of accompaniment"):
        frame(test_track, {"vocals": good["vocals"]})
    good["vocals"][0, 5] = np.nan
    with pytest.raises(BenchError, match="NaN"):
        frame(test_track, good)


def tidy(rows):
    columns = ["track", "target", "metric", "value", "n_samples"]
    return pd.DataFrame(rows, columns=columns).assign(protocol="bss_eval_v3", window=-1)


def test_means_are_weighted_by_length():
    scores = tidy([("a", "vocals", "nsdr", 1.0, 100), ("b", "vocals", "nsdr", 4.0, 300)])
    row = over_tracks(scores).iloc[0]
    assert (row["metric"], row["value"], row["n_tracks"]) == ("gnsdr", 3.25, 2)


def test_an_undefined_score_is_left_out_and_counted_and_an_infinite_one_stays():
    scores = tidy(
        [
            ("a", "vocals", "sir", 1.0, 100),
            ("b", "vocals", "sir", np.nan, 300),
            ("a", "vocals", "sar", np.inf, 100),
            ("b", "vocals", "sar", 2.0, 300),
        ]
    )
    over = over_tracks(scores).set_index("metric")
    assert (over.loc["gsir", "value"], over.loc["gsir", "n_undefined"]) == (1.0, 1)
    assert over.loc["gsir", "n_tracks"] == 2
    assert over.loc["gsar", "value"] == np.inf


def test_groups_are_kept_apart():
    scores = tidy([("a", "vocals", "nsdr", 1.0, 1), ("a", "vocals", "nsdr", 5.0, 1)])
    over = over_tracks(scores.assign(row=["x", "y"]), by=["row"])
    assert list(over["value"]) == [1.0, 5.0]


def test_a_mean_of_nothing_is_undefined():
    assert np.isnan(weighted_mean(np.array([np.nan]), np.array([1])))
    assert np.isnan(weighted_mean(np.array([np.inf, -np.inf]), np.array([1, 1])))


def test_an_unknown_protocol_is_refused_with_the_nearest_name():
    with pytest.raises(BenchError, match="did you mean 'bss_eval_v3'"):
        protocol("bss_eval_3")
