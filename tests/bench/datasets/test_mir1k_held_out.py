"""Splits for choices: no clip of a test singer, no song on both sides."""

from __future__ import annotations

import pytest

from bench.datasets import open_dataset
from bench.datasets.dataset import SPLITS
from bench.datasets.mir1k import TRAIN_SINGERS

NAMES = ("mir1k_held_out_songs", "mir1k_held_out_singer")


def song(name):
    return name.rpartition("_")[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_of_the_whole_corpus_are_those_of_its_training_clips(shared, name):
    corpus = open_dataset(name, shared / "data")
    assert {split: len(corpus.names(split)) for split in SPLITS} == corpus.FULL_SIZES


@pytest.mark.parametrize("name", NAMES)
def test_only_training_singers_are_heard(shared, name):
    corpus = open_dataset(name, shared / "data")
    clips = [clip for split in SPLITS for clip in corpus.names(split)]
    assert len(clips) == len(set(clips)) == 175
    assert {clip.partition("_")[0] for clip in clips} == set(TRAIN_SINGERS)


def test_no_held_out_song_is_trained_on_or_in_dev(shared):
    corpus = open_dataset("mir1k_held_out_songs", shared / "data")
    seen = {song(clip) for split in ("train", "dev") for clip in corpus.names(split)}
    tested = {song(clip) for clip in corpus.names("test")}
    assert len(tested) == 5
    assert not tested & seen


def test_a_held_out_singer_is_neither_trained_on_nor_in_dev(shared):
    corpus = open_dataset("mir1k_held_out_singer", shared / "data")
    seen = [clip for split in ("train", "dev") for clip in corpus.names(split)]
    assert all(clip.startswith("amy_") for clip in seen)
    assert all(clip.startswith("abjones_") for clip in corpus.names("test"))


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_made_by_name_alone(tmp_path, name):
    folder = tmp_path / "MIR-1K" / "Wavfile"
    folder.mkdir(parents=True)
    for clip in (
        "abjones_3_01",
        "amy_2_02",
        "amy_3_01",
        "amy_9_08",
        "Ani_1_01",
        "notes",
        "amy_notes",
    ):
        (folder / f"{clip}.wav").touch()
    corpus = open_dataset(name, tmp_path)
    expected = {
        "mir1k_held_out_songs": {"train": ["amy_3_01"], "test": ["abjones_3_01", "amy_2_02"]},
        "mir1k_held_out_singer": {"train": ["amy_2_02", "amy_3_01"], "test": ["abjones_3_01"]},
    }[name]
    assert {split: corpus.names(split) for split in expected} == expected
    assert corpus.names("dev") == ["amy_9_08"]
