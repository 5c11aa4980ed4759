"""The network: a U-Net whose blocks mix neighbouring bins and frames, and all bins of a frame.

A block is convolutions over time and frequency (TFC), then a bottleneck of dense layers along the
frequencies (TDF), whose output is added. The image is cut into bands before the first block, which
become channels: ``(1, rows, frames)`` to ``(bands, rows / bands, frames)``.

References
----------
Choi, Kim, Chung, Lee, Jung: Investigating U-Nets with Various Intermediate Blocks for
Spectrogram-Based Singing Voice Separation, ISMIR 2020, sections 3.2 and 3.3.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from baselines.networks.images import Block
from bench.track import TARGETS


class TFCTDFBlock(nn.Module):
    """Convolutions, and dense layers along the frequencies.

    Parameters
    ----------
    n_in, n_out
        Channels.
    n_rows
        Frequencies of the image.
    n_convolutions
        Convolutions.
    bottleneck
        Divisor of `n_rows` that gives the units between the two dense layers.
    """

    def __init__(
        self, n_in: int, n_out: int, n_rows: int, n_convolutions: int, bottleneck: int
    ) -> None:
        super().__init__()
        sizes = [n_in] + [n_out] * n_convolutions
        self.convolutions = nn.Sequential(*(Block(a, b) for a, b in itertools.pairwise(sizes)))
        n_units = max(n_rows // bottleneck, 1)
        self.inwards, self.outwards = nn.Linear(n_rows, n_units), nn.Linear(n_units, n_rows)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for _ in range(2))

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(sequence, n_in, n_rows, frames)`` to ``(sequence, n_out, n_rows, frames)``."""
        convolved: Tensor = self.convolutions(image)
        dense = convolved.transpose(2, 3)
        for layer, norm in zip((self.inwards, self.outwards), self.norms, strict=True):
            dense = norm(layer(dense)).relu()
        return convolved + dense.transpose(2, 3)


class BandUNet(nn.Module):
    """A U-Net of TFC-TDF blocks.

    Parameters
    ----------
    n_rows
        Frequencies of the image.
    n_bands
        Bands that become channels; `n_rows` is a multiple of ``n_bands * 2 ** n_levels``.
    n_channels
        Channels of the first level; each further level has as many more.
    n_levels
        Times that the image is halved.
    n_convolutions, bottleneck
        Convolutions of each block, and the divisor that gives its dense units.
    """

    def __init__(
        self,
        n_rows: int,
        n_bands: int,
        n_channels: int,
        n_levels: int,
        n_convolutions: int,
        bottleneck: int,
    ) -> None:
        super().__init__()
        self.n_bands = n_bands
        sizes = [n_channels * (i + 1) for i in range(n_levels + 1)]
        rows = [n_rows // n_bands // 2**i for i in range(n_levels + 1)]
        self.first = nn.Conv2d(n_bands, n_channels, 1)
        self.encoders, self.halvings, self.doublings, self.decoders = (
            nn.ModuleList() for _ in range(4)
        )
        for i in range(n_levels):
            block = (rows[i], n_convolutions, bottleneck)
            self.encoders.append(TFCTDFBlock(sizes[i], sizes[i], *block))
            self.halvings.append(nn.Conv2d(sizes[i], sizes[i + 1], 2, 2))
            self.doublings.append(nn.ConvTranspose2d(sizes[i + 1], sizes[i], 2, 2))
            self.decoders.append(TFCTDFBlock(2 * sizes[i], sizes[i], *block))
        self.middle = TFCTDFBlock(sizes[-1], sizes[-1], rows[-1], n_convolutions, bottleneck)
        self.last = nn.Conv2d(n_channels + n_bands, len(TARGETS) * n_bands, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(sequence, 1, rows, frames)`` to ``(sequence, targets, rows, frames)``."""
        n_sequences, _, n_rows, n_frames = image.shape
        bands = image.reshape(n_sequences, self.n_bands, n_rows // self.n_bands, n_frames)
        bands = bands.contiguous(memory_format=torch.channels_last)
        inner, seen = self.first(bands), []
        for encoder, halving in zip(self.encoders, self.halvings, strict=True):
            seen.append(encoder(inner))
            inner = halving(seen[-1])
        inner = self.middle(inner)
        for i in reversed(range(len(seen))):
            inner = self.decoders[i](torch.cat([self.doublings[i](inner), seen[i]], dim=1))
        output: Tensor = self.last(torch.cat([inner, bands], dim=1))
        return output.reshape(n_sequences, len(TARGETS), n_rows, n_frames)
