"""Stacked hourglasses: what each hears, and what it is held to."""

from __future__ import annotations

import pytest
import torch

from baselines.networks.hourglass.network import HourglassNetwork
from baselines.networks.hourglass.separator import StackedHourglass


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
    sizes = {"channels": 2, "levels": 2, "stacks": 2, "frames": 8, "batch_size": 2}
    method = StackedHourglass(**sizes, precision="float32")
    module = method.module(tracks, dev)
    batch = next(iter(module.train_dataloader()))
    module.eval()  # the batch's own statistics would differ between calls with other gradients
    with torch.no_grad():
        total, n_values = module.cost(batch)
        mixture, references = module.excerpts.magnitudes(batch)
        n_context = module.excerpts.n_context
        inside = mixture[:, n_context : mixture.shape[1] - n_context]
        parts = [
            method.loss(method.masked(y, inside), references)
            for y in method.stages(module.network, mixture)
        ]
    assert len(parts) == 2
    assert total == pytest.approx(float(sum(parts)))
    assert n_values == references.numel()
