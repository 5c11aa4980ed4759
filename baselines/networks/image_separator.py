"""What the separators of convolutional networks declare: images of one size, with a margin."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.separator import separator
from bench.training.network_separator import NetworkSeparator

if TYPE_CHECKING:
    from baselines.networks.images import ImageNetwork

#: Frames on each side of a sequence that are seen and not judged.
MARGIN = 16


@separator
class ImageSeparator(NetworkSeparator):
    """A convolutional network over images of `frames` frames and a margin on both sides.

    The fields that it shares with every network are those of `NetworkSeparator`.

    Parameters
    ----------
    levels
        Times that the image is halved.
    """

    frames: int = Field(96, ge=1)
    batch_size: int = Field(8, ge=1)
    levels: int = Field(4, ge=1)

    @abstractmethod
    def network(self, n_bins: int, rate: int) -> ImageNetwork:
        """Return a network of these hyperparameters."""

    def frame_multiple(self) -> int:
        """Return the number of which rows and frames of an image must be a multiple."""
        return int(2**self.levels)

    def context_frames(self) -> int:
        """Return the number of frames on each side of a sequence that are seen and not judged."""
        return MARGIN
