"""The networks beside the DRNN: shapes, what they see, training and resuming, songs in chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.networks.blstm.network import BLSTMNetwork
from baselines.networks.hourglass.network import HourglassNetwork
from baselines.networks.images import ImageNetwork
from baselines.networks.tfc_tdf.network import TFCTDF
from baselines.networks.unet.network import UNet
from bench.errors import BenchError
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


def test_bins_that_no_row_holds_are_given_what_the_highest_row_is_given():
    network = ImageNetwork(UNet(2, 3), 69, 8).eval()
    with torch.no_grad():
        y = network(torch.rand(1, 16, 69))
    assert y.shape == (1, 16, 2, 69)
    for extra in range(64, 69):
        assert torch.equal(y[..., extra], y[..., 63])


def test_too_few_bins_for_the_levels_are_refused():
    with pytest.raises(BenchError, match="n_fft is too short: the network needs 64 bins"):
        build("unet", levels=6, frames=32).network(33, 16_000)
    with pytest.raises(BenchError, match="must be a multiple of 8, not 17"):
        build("unet", frames=17)


def test_each_hourglass_is_held_to_the_references_and_hears_the_one_before():
    torch.manual_seed(0)
    network = HourglassNetwork(33, n_channels=4, depth=2, n_stacks=3)
    first, _, last = network.stages(torch.rand(2, 8, 33))
    first.sum().backward(retain_graph=True)
    assert network.outputs[0].weight.grad.abs().sum() > 0
    assert network.outputs[1].weight.grad is None
    last.sum().backward()
    assert all(output.weight.grad is not None for output in network.outputs)
    assert all(heard.weight.grad.abs().sum() > 0 for heard in network.heard)


def test_the_objective_of_stacked_hourglasses_is_the_sum_over_all_of_them(tracks, dev):
    method = build("hourglass", stacks=2)
    module = method.module(tracks, dev)
    batch = next(iter(module.train_dataloader()))
    module.eval()  # the batch's own statistics would differ between calls with other gradients
    with torch.no_grad():
        total, n_values = module.cost(batch)
        mixture, references = module.excerpts.magnitudes(batch)
        reach = module.excerpts.reach
        inside = mixture[:, reach : mixture.shape[1] - reach]
        parts = [
            method.loss(method.masked(y, inside), references)
            for y in method.stages(module.network, mixture)
        ]
    assert len(parts) == 2
    assert total == pytest.approx(float(sum(parts)))
    assert n_values == references.numel()


def test_dense_layers_along_the_frequencies_reach_all_of_them():
    torch.manual_seed(0)
    block = TFCTDF(1, 2, n_rows=32, n_convolutions=1, bottleneck=4).eval()
    for parameter in block.parameters():  # so that no rectifier is closed
        parameter.data.abs_()
    image = torch.rand(1, 1, 32, 8, requires_grad=True)
    block(image)[0, :, 0, 4].sum().backward()
    reached = image.grad[0, 0].abs() > 0
    assert reached[:, 4].all()
    assert not reached[:, :3].any()
    assert not reached[:, 6:].any()


def test_the_lstm_hears_both_directions_and_its_inputs_are_normalised():
    torch.manual_seed(0)
    network = BLSTMNetwork(9, 8, 1, 0.0).eval()
    frames = 5 + 3 * torch.rand(500, 9)
    network.fit_normalisation(frames)
    scaled = (frames - network.mean) / network.deviation
    assert scaled.mean(dim=0).abs().max() < 1e-5
    assert (scaled.std(dim=0) - 1).abs().max() < 0.01
    x = torch.rand(1, 11, 9, requires_grad=True)
    network(x)[0, 5].sum().backward()
    assert (x.grad[0].abs().sum(dim=1) > 0).all()


class KilledError(Exception):
    pass


class Killed(FitContext):
    """Ends a training like a killed process after `last` epochs."""

    def __init__(self, folder, last):
        self.folder, self.last = folder, last

    def report_progress(self, done, total, unit, text):
        if done > self.last:
            raise KilledError


class In(FitContext):
    def __init__(self, folder):
        self.folder = folder


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_training_goes_on_to_the_same_bytes_dropout_and_all(
    tracks, dev, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(callbacks, "CHECKPOINT_SHARE", float("inf"))
    through = build(name, epochs=4).fit(tracks, dev)
    with pytest.raises(KilledError):
        build(name, epochs=4).fit(tracks, dev, Killed(tmp_path, last=2))
    torch.rand(3)
    resumed = build(name, epochs=4).fit(tracks, dev, In(tmp_path))
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
