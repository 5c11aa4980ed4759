from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from baselines.algorithms import frame_kinds
from baselines.hsu_jang import HsuJang
from baselines.pitch import PitchMask
from bench.datasets import open_dataset
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.methods import chunks
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


def test_real_clips_are_separated_above_3_db_and_most_of_their_pitch_is_right(shared):
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


def test_tracks_without_a_voice_are_refused():
    noise = 0.01 * np.random.default_rng(0).standard_normal((1, 8000))
    track = Track("noise", 16_000, {"vocals": np.zeros((1, 8000)), "accompaniment": noise})
    with pytest.raises(BenchError, match="no voiced pitch"):
        HsuJang(filters=4).fit([track])


def test_stereo_follows_the_pitch_of_mono_and_separates_each_channel(trained):
    track = Synthetic().tracks("test")[1]
    gains = {"vocals": [[1.0], [0.8]], "accompaniment": [[0.7], [1.0]]}
    stereo = Track(
        "stereo", track.rate, {t: track.references[t] * np.array(gains[t]) for t in TARGETS}
    )
    estimates = trained.separate(stereo.mixture, stereo.rate)
    for n in range(2):
        references = {t: stereo.references[t][n : n + 1] for t in TARGETS}
        channel = Track("channel", stereo.rate, references)
        rows = score_track("bss_eval_v3", channel, {t: e[n : n + 1] for t, e in estimates.items()})
        assert value(rows, "nsdr") > 5
    one, two = (
        trained.followed_pitch(mixture, track.rate) for mixture in (track.mixture, stereo.mixture)
    )
    both = (one.hertz > 0) & (two.hertz > 0)
    assert both.mean() > 0.5
    assert (np.abs(12 * np.log2(one.hertz / two.hertz))[both] < 0.5).mean() > 0.9


def test_a_silent_channel_stays_silent_and_does_not_disturb_the_other(trained):
    track = Synthetic().tracks("test")[0]
    mixture = np.concatenate([track.mixture, np.zeros_like(track.mixture)])
    estimates = trained.separate(mixture, track.rate)
    alone = trained.separate(track.mixture, track.rate)
    for target in TARGETS:
        assert not estimates[target][1].any()
        assert np.abs(estimates[target][0] - alone[target][0]).max() < 1e-9


def test_a_song_in_chunks_is_as_good_as_whole(trained, monkeypatch):
    parts = [t.references for t in Synthetic().tracks("test")[:4]]
    references = {t: np.concatenate([part[t] for part in parts], axis=1) for t in TARGETS}
    song = Track("song", 16_000, references)
    whole = trained.separate(song.mixture, song.rate)
    monkeypatch.setattr(chunks, "CHUNK_S", 4.0)
    monkeypatch.setattr(chunks, "SHORTEST_CHUNK_S", 4.0)
    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)
    pieces = chunks.separate_track(trained, song)
    ratios = [
        value(score_track("bss_eval_v3", song, estimates), "nsdr") for estimates in (whole, pieces)
    ]
    assert ratios[1] > ratios[0] - 0.3


def test_one_unvoiced_frame_is_enough_to_learn_from():
    features = np.zeros((3, frame_kinds.N_FEATURES))
    models = frame_kinds.fit_kinds(features, np.array([0, 1, 2]), 2, 0)
    assert all(np.isfinite(array).all() for array in models.values())


def test_more_subtraction_takes_more_away(trained):
    track = Synthetic().tracks("test")[0]
    energies = []
    for subtraction in (0.0, 0.5, 2.0):
        method = copy.copy(trained)
        vars(method)["subtraction"] = subtraction
        voice = method.separate(track.mixture, track.rate)["vocals"]
        energies.append(float(np.square(voice).sum()))
    assert energies[0] > energies[1] > energies[2]
