"""Training on excerpts of a corpus that does not fit into memory."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.networks.drnn.separator import DRNN
from baselines.nmf import NMF
from bench.datasets.synthetic import Synthetic
from bench.methods import subsample

RATE = 16_000


def test_a_corpus_that_fits_is_held_as_it_is():
    tracks = Synthetic().tracks("train")
    assert subsample.fit_in_memory(tracks, 0) is tracks


def test_of_a_larger_one_a_training_holds_random_excerpts(monkeypatch):
    tracks = Synthetic().tracks("train")
    monkeypatch.setattr(subsample, "IN_MEMORY", 12 * RATE)
    monkeypatch.setattr(subsample, "SHORTEST_EXCERPT_S", 0.5)
    first, again, other = (subsample.fit_in_memory(tracks, 3, draw) for draw in (0, 0, 1))
    assert len(first) == 12
    assert sum(track.n_samples for track in first) == 12 * RATE
    assert all(np.array_equal(a.mixture, b.mixture) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.mixture, b.mixture) for a, b in zip(first, other, strict=True))
    whole = [track.mixture[0] for track in tracks]
    assert all(
        np.array_equal(cut.mixture[0], whole[i][start : start + n])
        for cut, (i, start, n) in zip(first, first.cuts, strict=True)
    )
    monkeypatch.setattr(subsample, "SHORTEST_EXCERPT_S", 2.0)
    few = subsample.fit_in_memory(tracks, 3)
    assert [track.duration_s for track in few] == [2.0] * 6


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["adam", "lbfgs"])
def test_a_network_learns_from_a_corpus_larger_than_memory(monkeypatch, recipe):
    monkeypatch.setattr(subsample, "IN_MEMORY", 12 * RATE)
    monkeypatch.setattr(subsample, "SHORTEST_EXCERPT_S", 0.5)
    tracks, dev = Synthetic().tracks("train"), Synthetic().tracks("dev")[:1]
    settings = {"hidden": 16, "epochs": 3, "batch_size": 4, "frames": 10, "recipe": recipe}
    if recipe == "lbfgs":
        settings |= {"shift": 4000, "pairing": "own"}
    method = DRNN(**settings)
    module = method.module(tracks, dev)
    span = module.excerpts.span
    assert module.excerpts.lengths.sum() == 12 * RATE
    assert module.excerpts.audio.shape[1] == 12 * (RATE + span)
    before = module.excerpts.audio.clone()
    assert module.excerpts.draw(1)
    assert not np.array_equal(before, module.excerpts.audio)
    assert not module.excerpts.draw(1)
    one, two = (DRNN(**settings).fit(tracks, dev) for _ in range(2))
    assert all(np.array_equal(one.weights_[k], two.weights_[k]) for k in one.weights_)


def test_nmf_learns_from_a_corpus_larger_than_memory(monkeypatch):
    tracks = Synthetic().tracks("train")
    whole = NMF(atoms=4, iterations=10).fit(tracks)
    monkeypatch.setattr(subsample, "IN_MEMORY", 12 * RATE)
    monkeypatch.setattr(subsample, "SHORTEST_EXCERPT_S", 0.5)
    part, again = (NMF(atoms=4, iterations=10).fit(tracks) for _ in range(2))
    assert not np.array_equal(part.dictionaries_["vocals"], whole.dictionaries_["vocals"])
    assert np.array_equal(part.dictionaries_["vocals"], again.dictionaries_["vocals"])
