from __future__ import annotations

import math

import pytest
import torch

from baselines.networks.drnn.network import DRNNNetwork, RecurrentLayer
from baselines.networks.drnn.separator import DRNN
from bench.errors import BenchError
from bench.methods import registry
from bench.training.inference import clip_estimates
from bench.training.masking import masked


def count(network) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("recurrent", "parameters"),
    [("none", 4_569_026), (1, 5_569_026), (2, 5_569_026), (3, 5_569_026), ("all", 7_569_026)],
)
def test_the_papers_networks_have_the_papers_number_of_parameters(recurrent, parameters):
    assert count(DRNNNetwork(513, recurrent=recurrent)) == parameters


def test_weights_are_drawn_within_the_authors_bounds_and_biases_are_zero():
    network = DRNN(recurrent=2, hidden=200).network(513, 16_000)
    network.initialise(torch.Generator().manual_seed(0))
    first, second, third = network.hidden
    bounds = {
        first.weight: math.sqrt(6 / (1539 + 200)),
        second.weight: math.sqrt(6 / (200 + 2 * 200)),
        second.recurrent: math.sqrt(6 / (3 * 200)),
        third.weight: math.sqrt(6 / (200 + 200)),
        network.output.weight: math.sqrt(6 / (200 + 1026)),
    }
    for weight, bound in bounds.items():
        assert 0.98 * bound < float(weight.detach().abs().max()) <= bound
    assert all(float(layer.bias.detach().abs().max()) == 0 for layer in [*network.hidden])


def test_a_recurrent_layer_is_its_equation_frame_by_frame():
    generator = torch.Generator().manual_seed(0)
    layer = RecurrentLayer(5, 4)
    for p in layer.parameters():
        torch.nn.init.normal_(p, 0, 0.5, generator=generator)
    z = torch.randn(3, 7, 5, generator=generator)
    h, frames = torch.zeros(3, 4), []
    for t in range(7):
        h = torch.relu(z[:, t] @ layer.weight.T + layer.bias + h @ layer.recurrent.T)
        frames.append(h)
    assert torch.allclose(layer(z), torch.stack(frames, 1), atol=1e-6)


@pytest.mark.parametrize("mask", ["abs", "square", "linear"])
def test_masked_outputs_add_up_to_the_mixture(mask):
    network = DRNNNetwork(9, 1, 8, 2, 1).double()
    network.initialise(torch.Generator().manual_seed(1))
    x = torch.rand(2, 6, 9, dtype=torch.float64) + 0.1
    assert torch.allclose(masked(network(x), x, mask).sum(-2), x, atol=1e-7)


def test_gradients_pass_through_the_mask_where_an_output_is_negative():
    network = DRNNNetwork(2, 1, 3, 1, "none").double()
    network.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.output.bias.fill_(-5.0)
    x = torch.ones(1, 1, 2, dtype=torch.float64)
    masked(network(x), x, "abs")[..., 0, :].sum().backward()
    assert float(network.output.bias.grad.abs().min()) > 0


def test_one_output_estimates_the_voice_and_leaves_the_rest():
    settings = DRNN(
        context=1, hidden=6, layers=1, recurrent="none", mask="none", outputs=1, frames=10
    )
    network = settings.network(5, 16_000)
    network.initialise(torch.Generator().manual_seed(3))
    x = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0))
    voice, rest = clip_estimates(settings, network, x)[0]
    raw = network(x.transpose(1, 2))[0, :, 0].T
    assert torch.allclose(voice, raw.detach().abs())
    assert torch.allclose(rest, (x[0] - voice).clamp(min=0))


def test_without_a_masking_layer_the_outputs_are_the_estimates():
    y, x = torch.rand(1, 4, 2, 5), torch.rand(1, 4, 5)
    assert torch.equal(masked(y, x, "none"), y)


@pytest.mark.parametrize("n_frames", [1, 9, 10, 19, 20, 21, 30, 47])
def test_clips_run_in_pieces_hear_at_least_a_sequence_of_the_past(n_frames):
    settings = DRNN(context=1, hidden=6, layers=1, recurrent=1, frames=10)
    network = settings.network(5, 16_000)
    network.initialise(torch.Generator().manual_seed(3))
    x = torch.rand(2, 5, n_frames, generator=torch.Generator().manual_seed(0))
    pieces = clip_estimates(settings, network, x)
    assert pieces.shape == (2, 2, 5, n_frames)
    for t in range(n_frames):
        begin = max(0, t // 10 - 1) * 10
        past = x[:, :, begin : t + 1].transpose(1, 2)
        alone = masked(network(past), past, "abs")[:, -1]
        assert torch.allclose(pieces[..., t], alone, atol=1e-6)


def test_a_state_that_grows_stays_finite_on_a_long_clip():
    settings = DRNN(context=1, hidden=6, layers=1, recurrent=1, frames=20)
    network = settings.network(5, 16_000)
    network.initialise(torch.Generator().manual_seed(3))
    with torch.no_grad():
        network.hidden[0].recurrent.fill_(0.5)  # three-fold growth a frame
    x = torch.rand(1, 5, 500, generator=torch.Generator().manual_seed(0))
    assert not torch.isfinite(network(x.transpose(1, 2))).all()
    assert torch.isfinite(clip_estimates(settings, network, x)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"context": 2}, "context must be an odd number"),
        ({"recurrent": 4}, "a layer from 1 to 3"),
        ({"recurrent": 0}, "a layer from 1 to 3"),
        ({"recurrent": "two"}, "recurrent"),
        ({"gamma": -0.1}, "gamma"),
        ({"n_fft": 1000, "hop": 300}, "hop must divide"),
        ({"outputs": 1}, "with outputs = 1 set mask to 'none'"),
        ({"recipe": "lbfgs"}, "lbfgs needs mixtures that stay the same"),
        ({"recipe": "lbfgs", "shift": 0}, "set pairing to own"),
        (
            {"recipe": "lbfgs", "shift": 0, "pairing": "own", "precision": "bfloat16"},
            "more digits than bfloat16",
        ),
        ({"objective": "kl", "mask": "none"}, "kl needs estimates that are never negative"),
        ({"shift": -1}, "shift"),
    ],
)
def test_values_that_make_no_network_are_refused(values, message):
    with pytest.raises(BenchError, match=message):
        registry.make(DRNN, values, "here")
