from __future__ import annotations

import math

import numpy as np
import pytest

from bench.errors import BenchError
from bench.scoring import score_track
from bench.scoring.melody import MEASURES, melody_scores
from bench.store.external import _cell
from bench.track import PitchTrack, Track

RATE = 8_000
TIMES_S = np.arange(1, 51) * 0.02


def labelled(semitones: np.ndarray) -> Track:
    """One second of noise whose voice has labels of pitch."""
    noise = np.random.default_rng(0).standard_normal((2, 1, RATE))
    return Track(
        "clip", RATE, dict(zip(("vocals", "accompaniment"), noise, strict=True)), semitones
    )


def test_a_track_within_half_a_semitone_is_right_an_octave_off_only_in_chroma():
    labels = PitchTrack(TIMES_S, np.full(50, 220.0))
    for factor, pitch, chroma in ((1.0, 100, 100), (2 ** (0.4 / 12), 100, 100), (2.0, 0, 100)):
        scores = melody_scores(labels, PitchTrack(TIMES_S, np.full(50, 220.0 * factor)))
        assert scores["raw_pitch"] == pytest.approx(pitch)
        assert scores["raw_chroma"] == pytest.approx(chroma)
        assert scores["voicing_recall"] == 100
        assert math.isnan(scores["voicing_false_alarm"])  # no label is without a voice


def test_a_negative_pitch_counts_as_pitch_and_as_unvoiced():
    hertz = np.where(np.arange(50) < 25, 220.0, 0.0)
    scores = melody_scores(PitchTrack(TIMES_S, hertz), PitchTrack(TIMES_S, np.full(50, -220.0)))
    assert scores["raw_pitch"] == 100
    assert scores["voicing_recall"] == 0
    assert scores["voicing_false_alarm"] == 0
    assert scores["overall_accuracy"] == pytest.approx(50)


def test_labels_without_a_voice_leave_its_measures_undefined():
    scores = melody_scores(
        PitchTrack(TIMES_S, np.zeros(50)), PitchTrack(TIMES_S, np.full(50, 220.0))
    )
    assert math.isnan(scores["raw_pitch"]) and math.isnan(scores["voicing_recall"])
    assert scores["voicing_false_alarm"] == 100
    nothing = PitchTrack(np.empty(0), np.empty(0))
    assert all(math.isnan(value) for value in melody_scores(nothing, nothing).values())


def test_a_track_is_scored_against_its_labels_from_its_own_start_on():
    semitones = np.where(np.arange(50) < 25, 57.0, 69.0)  # 220 Hz, then 440 Hz
    track = labelled(semitones)
    late = track.excerpt(RATE // 2, RATE // 2)
    labels = late.labelled_pitch()
    assert labels is not None
    assert labels.times_s[0] == pytest.approx(0.0)
    assert labels.hertz == pytest.approx(np.repeat([220.0, 440.0], [1, 25]))  # the 25th is at 0.5 s
    followed = PitchTrack(np.arange(26) * 0.02, np.full(26, 440.0))
    rows = score_track("melody", late, {}, followed=followed)
    voice = {row["metric"]: row["value"] for row in rows if row["target"] == "vocals"}
    assert list(voice) == list(MEASURES)
    assert voice["raw_pitch"] == pytest.approx(100 * 25 / 26)
    others = [row["value"] for row in rows if row["target"] == "accompaniment"]
    assert np.isnan(others).all()


def test_without_labels_or_without_a_followed_pitch_nothing_is_defined():
    track = labelled(np.full(50, 57.0))
    bare = Track("clip", RATE, track.references)
    followed = PitchTrack(TIMES_S, np.full(50, 220.0))
    for rows in (score_track("melody", track, {}), score_track("melody", bare, {}, None, followed)):
        assert all(np.isnan(row["value"]) for row in rows)


def test_a_track_that_ends_before_the_first_label_follows_nothing():
    labels = PitchTrack(TIMES_S + 0.02, np.full(50, 220.0))
    scores = melody_scores(labels, PitchTrack(np.zeros(1), np.array([220.0])))
    assert (scores["raw_pitch"], scores["voicing_recall"]) == (0, 0)


def test_files_of_audio_are_not_scored_by_their_melody():
    with pytest.raises(BenchError, match="files hold audio alone"):
        _cell("Theirs", "scored", {}, "synthetic", "0" * 64, ["bss_eval_v3", "melody"])
