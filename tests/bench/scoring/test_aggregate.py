from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.scoring.aggregate import over_tracks, weighted_mean


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


def test_a_median_of_an_even_count_is_the_mean_of_the_middle_two():
    rows = [("a", "vocals", "sdr", v, 10) for v in (1.0, 2.0, np.nan, 4.0, 9.0)]
    rows += [("b", "vocals", "sdr", v, 10) for v in (5.0, 5.0)]
    scores = tidy(rows).assign(protocol="bss_eval_v4")
    row = over_tracks(scores).iloc[0]
    assert (row["metric"], row["value"]) == ("sdr", 4.0)  # between 3 and 5
    assert (row["n_tracks"], row["n_undefined"]) == (2, 1)


def test_infinite_windows_count_as_in_musevals_own_medians():
    museval = pytest.importorskip("museval", reason="needs ffmpeg", exc_type=Exception)
    windows = {"a": [np.inf, 1.0, 3.0, np.nan], "b": [np.inf, np.inf, 7.0, 9.0]}
    store = museval.EvalStore()
    for name, values in windows.items():
        track = museval.TrackStore(name)
        track.add_target("vocals", dict.fromkeys(["SDR", "SIR", "SAR", "ISR"], np.array(values)))
        store.add_track(track)
    expected = store.agg_frames_tracks_scores().loc["vocals", "SAR"]
    rows = [(name, "vocals", "sar", v, 10) for name, values in windows.items() for v in values]
    scores = tidy(rows)
    museval_row, v4_row = (
        over_tracks(scores.assign(protocol=protocol)).iloc[0]
        for protocol in ("museval", "bss_eval_v4")
    )
    assert museval_row["value"] == pytest.approx(expected) == 5.0
    assert (museval_row["n_infinite"], museval_row["n_undefined"]) == (3, 1)
    assert v4_row["value"] == np.inf


def test_groups_are_kept_apart():
    scores = tidy([("a", "vocals", "nsdr", 1.0, 1), ("a", "vocals", "nsdr", 5.0, 1)])
    over = over_tracks(scores.assign(row=["x", "y"]), by=["row"])
    assert list(over["value"]) == [1.0, 5.0]


def test_a_mean_of_nothing_is_undefined():
    assert np.isnan(weighted_mean(np.array([np.nan]), np.array([1])))
    assert np.isnan(weighted_mean(np.array([np.inf, -np.inf]), np.array([1, 1])))
