"""The U-Net: which bins it gives what, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from baselines.networks.images import ImageNetwork
from baselines.networks.unet.network import UNetLayers
from baselines.networks.unet.separator import UNet as UNetSeparator
from bench.errors import BenchError
from bench.methods import registry


def test_bins_that_no_row_holds_are_given_what_the_highest_row_is_given():
    network = ImageNetwork(UNetLayers(2, 3), 69, 8).eval()
    with torch.no_grad():
        y = network(torch.rand(1, 16, 69))
    assert y.shape == (1, 16, 2, 69)
    for extra in range(64, 69):
        assert torch.equal(y[..., extra], y[..., 63])


def test_too_few_bins_for_the_levels_are_refused():
    with pytest.raises(BenchError, match="n_fft is too short: the network needs 64 bins"):
        UNetSeparator(levels=6, frames=32).network(33, 16_000)
    with pytest.raises(BenchError, match="must be a multiple of 8, not 17"):
        registry.make(UNetSeparator, {"levels": 3, "frames": 17}, "unet")
