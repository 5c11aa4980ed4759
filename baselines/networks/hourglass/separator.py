"""Stacked hourglasses as a method: an estimate that is refined by the next hourglass.

Idea: an hourglass sees the whole image coarsely and each detail finely, and puts out both targets;
the next one sees that estimate beside the mixture and corrects it. All are held to the references.

Differences from the paper: the masking layer of Huang et al., whose masks add up to one, in place
of an independent mask for each source, and the squared error of all networks here in place of the
absolute one; one block in place of a residual module; the optimiser and the pairing of voices with
accompaniments are those of all networks here; magnitudes enter as log(1 + x); 16 kHz in place of
8 kHz; 2 hourglasses in place of up to 4, and far fewer channels (32 in place of 256), which two
processor cores can train; a margin of 16 frames on both sides is seen and not judged.

References
----------
Park, Kim, Lee, Kwak: Music Source Separation Using Stacked Hourglass Networks, ISMIR 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from baselines.networks.image_separator import ImageSeparator
from bench.methods.separator import separator

if TYPE_CHECKING:
    from torch import Tensor

    from baselines.networks.hourglass.network import HourglassNetwork


@separator
class StackedHourglass(ImageSeparator):
    """Hourglasses in a row, each held to the references.

    Parameters
    ----------
    channels
        Channels at every level; even.
    levels
        Times that an hourglass halves the image.
    stacks
        Hourglasses.
    """

    VERSION: ClassVar[int] = 2

    channels: int = Field(32, ge=2, multiple_of=2)
    levels: int = Field(4, ge=1)
    stacks: int = Field(2, ge=1)

    def network(self, n_bins: int, rate: int) -> HourglassNetwork:
        """Return a network of these hyperparameters."""
        from baselines.networks.hourglass.network import HourglassNetwork

        return HourglassNetwork(n_bins, self.channels, self.levels, self.stacks)

    def stages(self, network: Any, x: Tensor) -> list[Tensor]:
        """Return the raw outputs of each hourglass; see `TrainingSettings.stages`."""
        context = self.context_frames()
        return [y[:, context : y.shape[1] - context] for y in network.stages(x)]
