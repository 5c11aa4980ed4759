"""The mixtures of a corpus as files: those that methods separate, and whole or not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.datasets import mixtures
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from tests.command import bench


def test_a_system_from_elsewhere_gets_what_our_methods_separate(workspace, capsys):
    assert bench("data", "export", "synthetic", "mixtures") == 0
    assert "8 mixtures: mixtures/<track>/mixture.wav" in capsys.readouterr().out
    for track in Synthetic().tracks("test"):
        folder = Path("mixtures", track.name)
        samples, rate = soundfile.read(folder / "mixture.wav", always_2d=True)
        assert rate == track.rate
        np.testing.assert_array_equal(samples.T, track.mixture.astype(np.float32))
        for target in ("vocals", "accompaniment"):
            (folder / "mixture.wav").replace(folder / f"{target}.wav")
            soundfile.write(folder / "mixture.wav", samples, rate, subtype="FLOAT")
    assert bench("score", "synthetic", "mixtures", "--as", "The mixture") == 0
    assert "The mixture" in capsys.readouterr().out


def test_a_folder_that_exists_is_refused_and_left_as_it_is(workspace, capsys):
    Path("mixtures").mkdir()
    assert bench("data", "export", "synthetic", "mixtures") == 2
    assert "mixtures exists; name a folder that does not" in capsys.readouterr().err
    assert not list(Path("mixtures").iterdir())


def test_a_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def stop(n_done: int, _: int) -> None:
        if n_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mixtures.write_mixtures(Synthetic(), "test", tmp_path / "out", stop)
    assert not list(tmp_path.iterdir())


def test_a_name_that_leaves_the_folder_is_refused(tmp_path, monkeypatch):
    corpus = Synthetic()
    tracks = [replace(track, name=f"../{track.name}") for track in corpus.tracks("test")]
    monkeypatch.setattr(corpus, "tracks", lambda split: tracks)
    with pytest.raises(BenchError, match="no name of a folder"):
        mixtures.write_mixtures(corpus, "test", tmp_path / "in" / "out", lambda *_: None)
    assert not list(tmp_path.rglob("*.wav"))


def test_a_split_without_tracks_and_a_full_disk_are_told_in_one_line(tmp_path, monkeypatch):
    corpus = Synthetic()
    monkeypatch.setattr(mixtures.soundfile, "write", full_disk)
    with pytest.raises(BenchError, match=r"out cannot be written: .*space"):
        mixtures.write_mixtures(corpus, "test", tmp_path / "out", lambda *_: None)
    monkeypatch.setattr(corpus, "tracks", lambda split: [])
    with pytest.raises(BenchError, match="has no dev tracks here"):
        mixtures.write_mixtures(corpus, "dev", tmp_path / "out", lambda *_: None)
    assert not list(tmp_path.iterdir())


def full_disk(*_: object, **__: object) -> None:
    """Fail as soundfile does, whose errors are no OSError."""
    raise FullDiskError(2)


class FullDiskError(soundfile.LibsndfileError):
    """The error of a full disk."""

    @property
    def error_string(self) -> str:
        return "No space left on device"
