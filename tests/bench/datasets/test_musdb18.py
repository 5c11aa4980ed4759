"""MUSDB18's excerpts, whole way: museval's own evaluation, and `bench score` of what a run made."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from baselines.oracles import IdealRatioMask
from baselines.repet import REPET
from bench.datasets import open_dataset
from bench.scoring.protocols import score_track
from bench.track import TARGETS
from tests.command import bench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg"),
]
#: Of museval's own evaluation, before it rounds to five decimals; and of WAV files of 24 bits.
MUSEVAL_DB, WAV_DB = 1e-6, 1e-3


@pytest.fixture
def museval_values(monkeypatch):
    """museval's evaluation of a track by its own corpus class, before its rounding."""
    museval = pytest.importorskip("museval")

    def evaluate(track, estimates):
        by_target = {}

        def keep(self, target_name, values):
            by_target[target_name] = values

        monkeypatch.setattr(museval.TrackStore, "add_target", keep)
        with warnings.catch_warnings(action="ignore"):
            museval.eval_mus_track(track, estimates)
        return by_target

    return evaluate


@pytest.mark.parametrize("index", range(8))
def test_the_museval_protocol_is_musevals_own_evaluation(shared, museval_values, index):
    musdb = pytest.importorskip("musdb")
    corpus = open_dataset("musdb18_7s", shared / "data")
    theirs = musdb.DB(root=str(shared / "data" / "MUSDB18-7"), subsets=["test"]).tracks[index]
    track = corpus.load("test", theirs.name)
    estimates = IdealRatioMask(n_fft=2048).separate_track(track)
    rows = pd.DataFrame(score_track("museval", track, estimates))
    expected = museval_values(theirs, {target: e.T for target, e in estimates.items()})
    for (target, metric), group in rows.groupby(["target", "metric"]):
        ours, other = group["value"].to_numpy(), np.array(expected[target][metric.upper()])
        assert np.array_equal(np.isnan(ours), np.isnan(other))
        assert np.nanmax(np.abs(ours - other), initial=0) < MUSEVAL_DB


RUN = """\
title: T
why: W
dataset: musdb18_7s
protocols: [museval, bss_eval_v4]
stft: {window_s: 0.046, hop_s: 0.0115}
methods: [{method: repet, label: REPET}]
"""


def test_scores_of_written_estimates_are_those_that_the_run_recorded(workspace, shared):
    data = shared / "data"
    Path("x.yaml").write_text(RUN)
    assert bench("run", "x.yaml", "--workers", "0", "--data", data) == 0
    recorded = pd.read_parquet("reports/x/scores.parquet")
    for track in open_dataset("musdb18_7s", data).tracks("test"):
        estimates = REPET(n_fft=2028, hop=507).separate(track.mixture, track.rate)
        folder = Path("theirs") / track.name
        folder.mkdir(parents=True)
        for target in TARGETS:
            path = folder / f"{target}.wav"
            soundfile.write(path, estimates[target].T, track.rate, subtype="PCM_24")
    words = ["--protocol", "museval", "--protocol", "bss_eval_v4", "--data", data]
    assert bench("score", "musdb18_7s", "theirs", *words) == 0
    scored = pd.read_parquet("reports/theirs/scores.parquet")
    keys = ["track", "target", "protocol", "metric", "window"]
    pair = recorded.merge(scored, on=keys, suffixes=("", "_scored"))
    assert len(pair) == len(recorded) == len(scored) > 0
    assert np.array_equal(pair["value"].isna(), pair["value_scored"].isna())
    finite = np.isfinite(pair["value"])
    assert (pair["value"] - pair["value_scored"])[finite].abs().max() < WAV_DB
