"""Copies at another pitch or tempo: what changes, what stays, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.networks.drnn.separator import DRNN
from bench.errors import BenchError
from bench.methods import subsample
from bench.methods.shared_work import sharing
from bench.training import altered_copies
from bench.training.altered_copies import altered
from bench.training.augmentation import Augmentation
from bench.training.excerpts import TrainingExcerpts
from bench.training.lightning import Epoch

RATE = 16_000


def tone(hz: float, seconds: float = 1.0) -> torch.Tensor:
    t = torch.arange(int(seconds * RATE)) / RATE
    return torch.sin(2 * torch.pi * hz * t).float()


def peak_hz(signal: torch.Tensor) -> float:
    middle = signal[len(signal) // 4 : 3 * len(signal) // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle))).abs()
    return float(spectrum.argmax()) * RATE / len(middle)


def test_a_pitch_moves_each_target_by_its_semitones_and_keeps_the_length():
    clip = torch.stack([tone(440), tone(1000)])
    for semitones in (2.0, -2.0):
        copy = altered(clip, RATE, {"semitones": semitones})
        assert copy.shape == clip.shape
        assert copy.dtype == torch.float32
        for signal, hz in zip(copy, (440, 1000), strict=True):
            assert peak_hz(signal) == pytest.approx(hz * 2 ** (semitones / 12), rel=0.01)


def test_a_tempo_changes_the_length_and_keeps_the_pitch():
    clip = torch.stack([tone(440), tone(1000)])
    for tempo in (1.25, 0.8):
        copy = altered(clip, RATE, {"tempo": tempo})
        assert copy.shape[1] == pytest.approx(RATE / tempo, abs=1)
        assert peak_hz(copy[0]) == pytest.approx(440, rel=0.01)


def test_a_copy_is_made_once_and_a_damaged_one_again(tmp_path, monkeypatch):
    clip, folder = torch.stack([tone(440), tone(1000)]), tmp_path / "copies"
    with sharing(folder):
        first = altered(clip, RATE, {"tempo": 1.1})
        (file,) = folder.iterdir()
        change = altered_copies._changed
        monkeypatch.setattr(altered_copies, "_changed", lambda *_: pytest.fail("made again"))
        assert torch.equal(altered(clip, RATE, {"tempo": 1.1}), first)
        monkeypatch.setattr(altered_copies, "_changed", change)
        file.write_bytes(file.read_bytes()[:1000])
        assert torch.equal(altered(clip, RATE, {"tempo": 1.1}), first)
        assert len(list(folder.iterdir())) == 1
        altered(clip * 0.5, RATE, {"tempo": 1.1})
        altered(clip, RATE, {"tempo": 0.9})
    assert len(list(folder.iterdir())) == 3


def test_sequences_come_from_clips_and_copies_and_an_epoch_is_no_longer(tracks):
    plain = TrainingExcerpts(tracks, 9.0, 1024, 512, 10, 1, pairing="any")
    changes = Augmentation(pitch_semitones=2, tempo_change=0.2)
    cut = TrainingExcerpts(tracks, 9.0, 1024, 512, 10, 1, pairing="any", augmentation=changes)
    assert cut.n_sequences == plain.n_sequences
    assert torch.equal(cut.clips, plain.clips)
    n = len(tracks)
    counts = torch.zeros(5)
    for epoch in range(20):
        for batch in Epoch(cut, 0, epoch, 1000):
            counts += torch.bincount(batch.accompaniment // n, minlength=5)
            voices = torch.bincount(batch.voice, minlength=5 * n)
            assert torch.equal(torch.bincount(batch.accompaniment, minlength=5 * n), voices)
            starts = batch.start < cut.recording_lengths[batch.accompaniment]
            assert bool(starts.all())
    assert float(counts.min() / counts.sum()) > 0.1


def test_a_voice_over_its_own_accompaniment_has_the_pitch_and_tempo_of_it(tracks):
    changes = Augmentation(pitch_semitones=2, tempo_change=0.2)
    cut = TrainingExcerpts(tracks, 9.0, 1024, 512, 10, 1, 0, "own", augmentation=changes)
    for batch in Epoch(cut, 0, 0, 1000):
        assert torch.equal(batch.voice, batch.accompaniment)
        assert bool((batch.shift == 0).all())


def test_a_training_gives_the_same_weights_from_kept_copies_and_counts_their_time(tracks, tmp_path):
    values = {"hidden": 12, "layers": 1, "recurrent": "none", "frames": 10, "epochs": 1}
    network = DRNN(**values, precision="float32", pitch_semitones=2)
    weights, spared_s = [], []
    for _ in range(2):
        with sharing(tmp_path / "copies") as work:
            weights.append(network.fit(tracks).weights_["output.weight"].copy())
        spared_s.append(work.spared_s)
    assert np.array_equal(*weights)
    assert spared_s[0] == 0 < spared_s[1]
    assert len(list((tmp_path / "copies").iterdir())) == 2 * len(tracks)


def test_a_corpus_larger_than_memory_is_refused(tracks, monkeypatch):
    monkeypatch.setattr(subsample, "IN_MEMORY", 10_000)
    monkeypatch.setattr(subsample, "SHORTEST_EXCERPT_S", 0.2)
    changes = Augmentation(tempo_change=0.1)
    with pytest.raises(BenchError, match="leave out pitch_semitones and tempo_change"):
        TrainingExcerpts(tracks, 9.0, 1024, 512, 2, 1, augmentation=changes)
