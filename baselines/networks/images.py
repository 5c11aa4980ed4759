"""Spectrograms as images: what the convolutional networks share.

An image is ``(sequence, channels, rows, frames)``: its rows are frequencies. Magnitudes enter as
``log(1 + x)``, which at the level of training keeps what is soft visible.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bench.errors import BenchError


class ImageNetwork(nn.Module):
    """A network of images as one of magnitudes.

    Parameters
    ----------
    layers
        Maps an image of one channel to one of a channel a target.
    n_bins
        Frequency bins of a frame.
    multiple
        Number of which the image's rows must be a multiple. The bins above the last multiple, next
        to half the sampling rate, take the outputs of the highest row.

    Raises
    ------
    BenchError
        There are fewer bins than `multiple`.
    """

    def __init__(self, layers: nn.Module, n_bins: int, multiple: int) -> None:
        super().__init__()
        if n_bins < multiple:
            raise BenchError(
                f"n_fft is too short: the network needs {multiple} bins, and there are {n_bins}"
            )
        self.n_bins, self.n_rows = n_bins, n_bins // multiple * multiple
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """Map magnitudes ``(sequence, frames, bins)`` to ``(sequence, frames, targets, bins)``."""
        return self.from_image(self.layers(self.to_image(x)))

    def to_image(self, x: Tensor) -> Tensor:
        """Return magnitudes ``(sequence, frames, bins)`` as an image of one channel."""
        image = x[..., : self.n_rows].log1p().transpose(1, 2).unsqueeze(1)
        # the faster layout on processors, which the layers hand on
        return image.contiguous(memory_format=torch.channels_last)

    def from_image(self, image: Tensor) -> Tensor:
        """Return an image of a channel a target as ``(sequence, frames, targets, bins)``."""
        y = image.permute(0, 3, 1, 2)
        return pad(y, (0, self.n_bins - self.n_rows, 0, 0), mode="replicate")


class Block(nn.Sequential):
    """Convolution, batch normalisation and a rectifier.

    Parameters
    ----------
    n_in, n_out
        Channels.
    kernel
        Rows and frames of the convolution, odd.
    stride
        Step in rows and frames: 2 halves the image.
    slope
        Slope of the rectifier below 0.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel: int = 3, stride: int = 1, slope: float = 0.0
    ) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(n_out),
            nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True),
        )
