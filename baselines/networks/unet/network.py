"""The network: convolutions that halve the image and deconvolutions that double it again.

Each level down has twice the channels of the one above; each level up also sees the image that
entered the level down of its size.

References
----------
Jansson, Humphrey, Montecchio, Bittner, Kumar, Weyde: Singing Voice Separation with Deep U-Net
Convolutional Networks, ISMIR 2017, section 3.1.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from baselines.networks.images import Block
from bench.track import TARGETS

#: Rows and frames of each convolution, and the slope of the rectifiers on the way down.
KERNEL, SLOPE = 5, 0.2
#: The first levels up that leave out half of their outputs in training.
N_DROPPED, DROPOUT = 3, 0.5


class UNetLayers(nn.Module):
    """A U-Net of a channel a target.

    Parameters
    ----------
    n_channels
        Channels after the first level down.
    n_levels
        Levels; rows and frames must be multiples of ``2 ** n_levels``.
    """

    def __init__(self, n_channels: int, n_levels: int) -> None:
        super().__init__()
        sizes = [1] + [n_channels * 2**i for i in range(n_levels)]
        self.down = nn.ModuleList(
            Block(n_in, n_out, KERNEL, 2, SLOPE) for n_in, n_out in itertools.pairwise(sizes)
        )
        up = []
        for i in reversed(range(n_levels)):
            n_in = sizes[i + 1] * (1 if i == n_levels - 1 else 2)
            n_out = sizes[i] if i else len(TARGETS)
            # a bias before batch normalisation has no effect and no gradient but rounding
            doubling = nn.ConvTranspose2d(
                n_in, n_out, KERNEL, 2, KERNEL // 2, output_padding=1, bias=i == 0
            )
            layers: list[nn.Module] = [doubling]
            if i:
                layers += [nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
                layers += [nn.Dropout2d(DROPOUT)] if n_levels - 1 - i < N_DROPPED else []
            up.append(nn.Sequential(*layers))
        self.up = nn.ModuleList(up)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(sequence, 1, rows, frames)`` to ``(sequence, targets, rows, frames)``."""
        seen = []
        for layer in self.down:
            image = layer(image)
            seen.append(image)
        for i, layer in enumerate(self.up):
            image = layer(image if i == 0 else torch.cat([image, seen[-1 - i]], dim=1))
        return image
