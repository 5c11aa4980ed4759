from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.networks.aligned_linear import AlignedLinear


def twins(n_in, n_out):
    """Return an aligned layer and PyTorch's with the same weights."""
    torch.manual_seed(0)
    aligned, plain = AlignedLinear(n_in, n_out), nn.Linear(n_in, n_out)
    plain.load_state_dict(aligned.state_dict())
    return aligned, plain


@pytest.mark.parametrize("n_in", [1539, 1000])
@pytest.mark.parametrize("n_out", [1026, 1000])
@pytest.mark.parametrize("step", [1, 2], ids=["contiguous", "every other frame"])
def test_outputs_and_gradients_are_those_of_pytorchs_layer_to_the_bit(n_in, n_out, step):
    layers, gradients = twins(n_in, n_out), []
    data = torch.rand(4, 50, n_in, generator=torch.Generator().manual_seed(1))[:, ::step]
    for layer in layers:
        x = data.detach().requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        gradients.append([y.detach(), x.grad, layer.weight.grad, layer.bias.grad])
    for ours, theirs in zip(*gradients, strict=True):
        assert ours.shape == theirs.shape
        assert torch.equal(ours, theirs)


def test_an_input_without_gradient_gets_none():
    layer, _ = twins(9, 5)
    layer(torch.rand(3, 9)).sum().backward()
    assert layer.weight.grad.shape == (5, 9)
    assert layer.weight.grad.is_contiguous()


def test_gradients_are_right():
    layer = AlignedLinear(7, 5).double()
    x = torch.rand(2, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_autocast_has_pytorchs_products():
    aligned, plain = twins(9, 5)
    x = torch.rand(4, 9)
    with torch.autocast("cpu", torch.bfloat16):
        assert aligned(x).dtype == torch.bfloat16
        assert torch.equal(aligned(x), plain(x))
