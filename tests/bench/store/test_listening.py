"""Clips to listen to: chosen by the references alone, written while cells separate."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import soundfile

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import Cell
from bench.store import listening
from bench.store.cell_folder import CellFolder
from bench.store.listening import (
    PEAK,
    estimate_files,
    prepare_clips,
    read_clips,
    spectral_overlap,
    true_signals,
    write_estimates,
)
from bench.track import TARGETS, Track

DIGEST = "a" * 64


def tone(hertz, seconds=2.0, rate=8000):
    return 0.1 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)[None]


def test_a_list_of_clips_with_other_fields_than_were_written_is_not_taken(tmp_path):
    chosen = prepare_clips(tmp_path, Synthetic(), DIGEST)
    assert list(read_clips(tmp_path, DIGEST)) == list(chosen)
    (path,) = (tmp_path / "examples").glob("*.json")
    content = json.loads(path.read_text())
    for change in (
        {"key": "../../outside"},
        {"another": 1},
        {"start": "0"},
        {"start": -1},
        {"gain": float("nan")},
        {"role": "../outside"},
        {"rate": None},
    ):
        clips = [{**clip, **change} for clip in content["clips"]]
        path.write_text(json.dumps({**content, "clips": clips}))
        assert read_clips(tmp_path, DIGEST) == ()


def test_a_deleted_file_of_a_clip_is_written_again(tmp_path):
    clips = prepare_clips(tmp_path, Synthetic(), DIGEST)
    path = true_signals(tmp_path, clips[1])["mixture"]
    content = path.read_bytes()
    path.unlink()
    assert read_clips(tmp_path, DIGEST) == ()
    assert prepare_clips(tmp_path, Synthetic(), DIGEST) == clips
    assert path.read_bytes() == content


def test_sources_in_other_bands_do_not_overlap_and_equal_ones_do_whole():
    apart = Track("a", 8000, {"vocals": tone(440), "accompaniment": tone(2600)})
    same = Track("b", 8000, {"vocals": tone(440), "accompaniment": tone(440)})
    assert spectral_overlap(apart) < 0.1
    assert spectral_overlap(same) == pytest.approx(1)
    silent = Track("c", 8000, dict.fromkeys(TARGETS, np.zeros((1, 4000))))
    assert spectral_overlap(silent) == 0


def test_the_overlap_of_a_long_track_is_that_of_its_middle(monkeypatch):
    monkeypatch.setattr(listening, "MEASURED_S", 1.0)
    alike, apart = tone(440, 1), tone(2600, 1)
    sides = {
        "vocals": np.concatenate([alike, alike, alike], axis=1),
        "accompaniment": np.concatenate([apart, alike, apart], axis=1),
    }
    assert spectral_overlap(Track("a", 8000, sides)) == pytest.approx(1)


def test_three_tracks_are_chosen_by_their_overlap_and_the_choice_stays(tmp_path):
    corpus = Synthetic()
    clips = prepare_clips(tmp_path, corpus, DIGEST)
    overlaps = {t.name: spectral_overlap(t) for t in corpus.tracks("test")}
    order = sorted(overlaps, key=overlaps.get)
    assert [clip.role for clip in clips] == ["easy", "median", "hard"]
    assert [clip.track for clip in clips] == [order[0], order[(len(order) - 1) // 2], order[-1]]
    assert read_clips(tmp_path, DIGEST) == prepare_clips(tmp_path, None, DIGEST) == clips
    assert read_clips(tmp_path, "b" * 64) == ()


def test_another_version_of_the_choice_is_made_anew(tmp_path):
    prepare_clips(tmp_path, Synthetic(), DIGEST)
    (path,) = tmp_path.glob("examples/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    assert read_clips(tmp_path, DIGEST) == ()


def test_the_mixture_of_a_clip_is_as_loud_as_it_is_said_and_its_sources_fit(tmp_path):
    corpus = Synthetic()
    for clip in prepare_clips(tmp_path, corpus, DIGEST):
        signals = {k: soundfile.read(p)[0] for k, p in true_signals(tmp_path, clip).items()}
        assert np.abs(signals["mixture"]).max() == pytest.approx(PEAK, abs=1e-4)
        total = sum(signals[target] for target in TARGETS)
        assert np.abs(signals["mixture"] - total).max() < 1e-4
        track = corpus.load("test", clip.track)
        cut = track.mixture[0, clip.start : clip.stop]
        assert np.abs(clip.gain * cut - signals["mixture"]).max() < 1e-4


def test_a_cell_writes_the_clips_of_its_estimates_and_no_other_track(tmp_path):
    corpus = Synthetic()
    clips = prepare_clips(tmp_path, corpus, DIGEST)
    cell = Cell("Row", "mixture", "bound", 1, {}, None, "synthetic", {"test": DIGEST}, {})
    folder = CellFolder(tmp_path, cell)
    assert estimate_files(folder, clips, "vocals") is None
    for track in corpus.tracks("test"):
        write_estimates(folder, clips, track, dict.fromkeys(TARGETS, 2 * track.mixture))
    assert len(list(folder.path.glob("examples/*.flac"))) == len(clips) * len(TARGETS)
    path, *_ = estimate_files(folder, clips, "vocals")
    loud = soundfile.read(io.BytesIO(path.read_bytes()))[0]
    assert np.abs(loud).max() > 0.99, "an estimate louder than full scale is cut"
