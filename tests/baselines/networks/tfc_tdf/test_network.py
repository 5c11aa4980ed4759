"""TFC-TDF blocks: what reaches an output."""

from __future__ import annotations

import torch

from baselines.networks.tfc_tdf.network import TFCTDFBlock


def test_dense_layers_along_the_frequencies_reach_all_of_them():
    torch.manual_seed(0)
    block = TFCTDFBlock(1, 2, n_rows=32, n_convolutions=1, bottleneck=4).eval()
    for parameter in block.parameters():  # so that no rectifier is closed
        parameter.data.abs_()
    image = torch.rand(1, 1, 32, 8, requires_grad=True)
    block(image)[0, :, 0, 4].sum().backward()
    reached = image.grad[0, 0].abs() > 0
    assert reached[:, 4].all()
    assert not reached[:, :3].any()
    assert not reached[:, 6:].any()
