from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from baselines.hsu_jang import HsuJang, _kinds
from baselines.pitch import PitchMask
from bench.datasets import open_dataset
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.scoring import score_track
from bench.scoring.melody import melody_scores
from bench.track import TARGETS, Track


@pytest.fixture(scope="module")
def trained() -> HsuJang:
    return HsuJang(filters=64, components=4).fit(Synthetic().tracks("train")[:4])


def value(rows, metric: str) -> float:
    return next(r["value"] for r in rows if r["target"] == "vocals" and r["metric"] == metric)


def test_synthetic_voices_are_found_and_their_pitch_followed(trained):
    track = Synthetic().tracks("test")[0]
    estimates = trained.separate(track.mixture, track.rate)
    assert value(score_track("bss_eval_v3", track, estimates), "nsdr") > 5
    alone = PitchMask(tracked="mixture").followed_pitch(track.references["vocals"], track.rate)
    followed = trained.followed_pitch(track.mixture, track.rate)
    assert melody_scores(alone, followed)["raw_pitch"] > 75


def test_real_clips_are_separated_and_followed_as_the_issue_asks(shared):
    dataset = open_dataset("mir1k", shared / "data")
    method = HsuJang(filters=64).fit(dataset.tracks("train")[::20])
    tracks = dataset.tracks("test")[::25]
    nsdr, raw_pitch = [], []
    for track in tracks:
        estimates = method.separate(track.mixture, track.rate)
        followed = method.followed_pitch(track.mixture, track.rate)
        nsdr.append(value(score_track("bss_eval_v3", track, estimates), "nsdr"))
        rows = score_track("melody", track, estimates, followed=followed)
        raw_pitch.append(value(rows, "raw_pitch"))
    assert np.mean(nsdr) > 3
    assert np.mean(raw_pitch) > 65


def test_labels_are_preferred_to_what_is_heard():
    track = Synthetic().tracks("train")[0]
    n_labels = int(track.duration_s / 0.02)
    labelled = dataclasses.replace(track, pitch=np.full(n_labels, 60.0))
    method = HsuJang(filters=4)
    assert (method._lesson(labelled).pitch[5:-5] > 0).all()
    assert (method._lesson(track).pitch == 0).any()


def test_frames_are_voiced_by_their_pitch_and_unvoiced_by_their_level():
    pitch = np.array([220.0, 220.0, 0.0, 0.0, 0.0])
    voice = np.array([[1.0, 3.0, 1.0, 1e-3, 0.0]])
    assert list(_kinds(pitch, voice)) == [2, 2, 1, 0, 0]
    assert list(_kinds(np.zeros(2), np.ones((1, 2)))) == [0, 0]


def test_tracks_without_a_voice_are_refused():
    noise = 0.01 * np.random.default_rng(0).standard_normal((1, 8000))
    track = Track("noise", 16_000, {"vocals": np.zeros((1, 8000)), "accompaniment": noise})
    with pytest.raises(BenchError, match="no voiced pitch"):
        HsuJang(filters=4).fit([track])


def test_stereo_follows_one_pitch_and_separates_each_channel(trained):
    track = Synthetic().tracks("test")[1]
    gains = {"vocals": [[1.0], [0.7]], "accompaniment": [[0.6], [1.0]]}
    stereo = Track(
        "stereo", track.rate, {t: track.references[t] * np.array(gains[t]) for t in TARGETS}
    )
    estimates = trained.separate(stereo.mixture, stereo.rate)
    rows = score_track("bss_eval_v3", stereo, estimates)
    assert value(rows, "nsdr") > 4


def test_more_subtraction_takes_more_away(trained):
    track = Synthetic().tracks("test")[0]
    energies = []
    for subtraction in (0.0, 0.5, 2.0):
        vars(trained)["subtraction"] = subtraction
        voice = trained.separate(track.mixture, track.rate)["vocals"]
        energies.append(float(np.square(voice).sum()))
    vars(trained)["subtraction"] = 0.5
    assert energies[0] > energies[1] > energies[2]
