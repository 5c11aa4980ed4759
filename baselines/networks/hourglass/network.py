"""The network: hourglasses in a row, each of which puts out both targets.

An hourglass halves the image several times with a constant number of channels. On the way up it
adds to each doubled image the output of a side branch at that size. Each hourglass but the first
also receives the output of the one before.

References
----------
Park, Kim, Lee, Kwak: Music Source Separation Using Stacked Hourglass Networks, ISMIR 2018, section
3.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from baselines.networks.images import Block, ImageNetwork
from bench.track import TARGETS


class Hourglass(nn.Module):
    """Down `depth` levels and up again, with a side branch at each.

    Parameters
    ----------
    n_channels
        Channels at every level.
    depth
        Levels; rows and frames must be multiples of ``2 ** depth``.
    """

    def __init__(self, n_channels: int, depth: int) -> None:
        super().__init__()
        self.side = Block(n_channels, n_channels)
        self.down = Block(n_channels, n_channels)
        self.inner: nn.Module = (
            Hourglass(n_channels, depth - 1) if depth > 1 else Block(n_channels, n_channels)
        )
        self.up = Block(n_channels, n_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(sequence, n_channels, rows, frames)`` to an image of the same shape."""
        inner = self.up(self.inner(self.down(max_pool2d(image, 2))))
        added: Tensor = self.side(image) + interpolate(inner, scale_factor=2.0, mode="nearest")
        return added


class HourglassNetwork(ImageNetwork):
    """Hourglasses in a row.

    Parameters
    ----------
    n_bins
        Frequency bins of a frame.
    n_channels, depth
        Channels of every image, and levels of each hourglass.
    n_stacks
        Hourglasses.
    """

    def __init__(self, n_bins: int, n_channels: int, depth: int, n_stacks: int) -> None:
        first = nn.Sequential(
            Block(1, n_channels // 2, 7),
            Block(n_channels // 2, n_channels),
            Block(n_channels, n_channels),
        )
        stacks = [
            nn.Sequential(Hourglass(n_channels, depth), Block(n_channels, n_channels))
            for _ in range(n_stacks)
        ]
        super().__init__(first, n_bins, 2**depth)
        between = range(n_stacks - 1)
        self.stacks = nn.ModuleList(stacks)
        self.outputs = nn.ModuleList(nn.Conv2d(n_channels, len(TARGETS), 1) for _ in stacks)
        self.heard = nn.ModuleList(nn.Conv2d(len(TARGETS), n_channels, 1) for _ in between)
        self.passed = nn.ModuleList(nn.Conv2d(n_channels, n_channels, 1) for _ in between)

    def forward(self, x: Tensor) -> Tensor:
        """Map magnitudes ``(sequence, frames, bins)`` to the last hourglass's output."""
        return self.stages(x)[-1]

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return what each hourglass puts out, ``(sequence, frames, targets, bins)`` each."""
        image = self.layers(self.to_image(x))
        stages = []
        for n, stack in enumerate(self.stacks):
            features = stack(image)
            output = self.outputs[n](features)
            stages.append(self.from_image(output))
            if n < len(self.heard):
                image = image + self.passed[n](features) + self.heard[n](output)
        return stages
