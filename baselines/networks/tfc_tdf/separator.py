"""The TFC-TDF U-Net as a method: shapes in the image, and what all frequencies say together.

Idea: convolutions see shapes in a part of the image; dense layers along the frequencies see at once
the harmonics of a voice, which lie far apart. In bands the image is smaller, and each band has
filters of its own.

Differences from the paper: masks of magnitudes by the masking layer of Huang et al., in place of
the complex spectrogram; plain convolutions in place of densely connected ones; the image in bands,
as in later systems of its authors; the objective, the optimiser and the pairing of voices with
accompaniments are those of all networks here; channels grow by level, and the last layer sees the
mixture again; magnitudes enter as log(1 + x); 16 kHz; far smaller;
a margin of 16 frames on both sides is seen and not judged.

References
----------
Choi, Kim, Chung, Lee, Jung: Investigating U-Nets with Various Intermediate Blocks for
Spectrogram-Based Singing Voice Separation, ISMIR 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from baselines.networks.image_separator import ImageSeparator
from bench.methods.separator import separator

if TYPE_CHECKING:
    from baselines.networks.images import ImageNetwork


@separator
class TFCTDF(ImageSeparator):
    """A U-Net of convolutions and of dense layers along the frequencies, over bands.

    Parameters
    ----------
    channels
        Channels of the first level; each further level has as many more.
    levels
        Times that the image is halved.
    convolutions
        Convolutions of a block.
    bands
        Bands of the image that become channels.
    bottleneck
        Divisor of a level's frequencies that gives the units between a block's dense layers.
    """

    VERSION: ClassVar[int] = 2

    channels: int = Field(24, ge=1)
    levels: int = Field(3, ge=1)
    convolutions: int = Field(2, ge=1)
    bands: int = Field(4, ge=1)
    bottleneck: int = Field(8, ge=1)

    def network(self, n_bins: int, rate: int) -> ImageNetwork:
        """Return a network of these hyperparameters."""
        from baselines.networks.images import ImageNetwork
        from baselines.networks.tfc_tdf.network import BandUNet

        multiple = self.bands * self.frame_multiple()
        layers = BandUNet(
            n_bins // multiple * multiple,
            self.bands,
            self.channels,
            self.levels,
            self.convolutions,
            self.bottleneck,
        )
        return ImageNetwork(layers, n_bins, multiple)
