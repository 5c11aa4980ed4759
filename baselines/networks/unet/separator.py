"""The U-Net as a method: a mask painted at several scales.

Idea: on the way down the image of the mixture is described more and more coarsely, on the way up
that description is painted back into its details. It separates voices because harmonics, vibrato
and formants are shapes, wherever they lie in the image.

Differences from the paper: one network for both targets with the masking layer of Huang et al., in
place of a network a target with a sigmoid; the objective, the optimiser and the pairing of voices
with accompaniments are those of all networks here; magnitudes enter as log(1 + x); all bins up to
half the rate at 16 kHz, in windows of 64 ms and steps of 32, in place of 8,192 Hz, 125 and 94 ms;
5 levels in place of 6; dropout leaves out whole channels; a margin of 16
frames on both sides is seen and not judged.

References
----------
Jansson, Humphrey, Montecchio, Bittner, Kumar, Weyde: Singing Voice Separation with Deep U-Net
Convolutional Networks, ISMIR 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from baselines.networks.image_separator import ImageSeparator
from bench.methods.separator import separator

if TYPE_CHECKING:
    from baselines.networks.images import ImageNetwork


@separator
class UNet(ImageSeparator):
    """Convolutions that halve the image, and deconvolutions that double it again.

    Parameters
    ----------
    channels
        Channels after the first level; each further one has twice as many.
    levels
        Levels of the network.
    """

    VERSION: ClassVar[int] = 2

    channels: int = Field(16, ge=1)
    levels: int = Field(5, ge=1)

    def network(self, n_bins: int, rate: int) -> ImageNetwork:
        """Return a network of these hyperparameters."""
        from baselines.networks.images import ImageNetwork
        from baselines.networks.unet.network import UNetLayers

        return ImageNetwork(UNetLayers(self.channels, self.levels), n_bins, self.frame_multiple())
