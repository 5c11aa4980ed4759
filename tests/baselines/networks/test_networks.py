"""What the networks beside the DRNN share: shapes, training, and resuming to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.methods import registry
from bench.methods.context import FitContext
from bench.training import callbacks
from tests.baselines.test_contract import QUICK

NAMES = ("blstm", "unet", "hourglass", "tfc_tdf")


def build(name, **values):
    settings = {**QUICK[name], "precision": "float32", **values}
    return registry.make(registry.find_method(name), settings, name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_bins", [129, 513, 1025])
def test_outputs_have_a_block_of_bins_for_each_target(name, n_bins):
    method = build(name)
    network = method.network(n_bins, 16_000)
    n_frames = method.frames + 2 * method.context_frames()
    x = torch.rand(3, n_frames, n_bins)
    for y in (method.raw_outputs(network, x), *method.stages(network, x)):
        assert y.shape == (3, method.frames, 2, n_bins)
        assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_default_network_fits_the_default_sequence(name):
    method = registry.make(registry.find_method(name), {}, name)
    network = method.network(method.n_fft // 2 + 1, 16_000).eval()
    n_frames = method.frames + 2 * method.context_frames()
    with torch.no_grad():
        y = method.raw_outputs(network, torch.rand(1, n_frames, method.n_fft // 2 + 1))
    assert y.shape[1] == method.frames


class KilledError(Exception):
    pass


class Killed(FitContext):
    """Ends a training like a killed process after `last` epochs."""

    def __init__(self, folder, last):
        self.folder, self.last = folder, last

    def report_progress(self, done, total, unit="steps", text=""):
        if done > self.last:
            raise KilledError


class In(FitContext):
    """Keeps checkpoints in a folder, and the epochs that are reported."""

    def __init__(self, folder):
        self.folder = folder
        self.epochs = []

    def report_progress(self, done, total, unit="steps", text=""):
        self.epochs.append(done)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_training_goes_on_to_the_same_bytes_dropout_and_all(
    tracks, dev, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(callbacks, "CHECKPOINT_SHARE", float("inf"))
    through = build(name, epochs=4).fit(tracks, dev)
    with pytest.raises(KilledError):
        build(name, epochs=4).fit(tracks, dev, Killed(tmp_path, last=2))
    torch.rand(3)
    context = In(tmp_path)
    resumed = build(name, epochs=4).fit(tracks, dev, context)
    assert context.epochs[0] > 0, "it began again"
    n_parameters = sum(p.numel() for p in through.network(513, 16_000).parameters())
    assert resumed.training_facts() == {"precision": "float32", "parameters": n_parameters}
    assert resumed.weights_.keys() == through.weights_.keys()
    for key, weights in through.weights_.items():
        assert np.array_equal(resumed.weights_[key], weights), key


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_to_separate_what_it_is_trained_on(tracks, name):
    track = tracks[0]

    wider = {"blstm": {"dropout": 0.0}, "hourglass": {"channels": 8}}.get(name, {})

    def gain(epochs):
        method = build(name, epochs=epochs, select="last", shift=0, pairing="own", **wider)
        estimate = method.fit([track]).separate(track.mixture, track.rate)["vocals"]
        error = np.square(track.references["vocals"] - estimate).sum()
        return 10 * np.log10(np.square(track.references["vocals"]).sum() / error)

    assert gain(40) > gain(1) + 1
