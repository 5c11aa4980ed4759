"""The mixture itself as the estimate of every target: the zero of NSDR, and a floor for all."""

from __future__ import annotations

from typing import ClassVar

from bench.methods.separator import Separator, check_mixture, separator
from bench.track import TARGETS, Audio


@separator
class Mixture(Separator):
    """Returns the mixture for each target."""

    GROUP: ClassVar[str] = "bound"

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Return a copy of the mixture for each target; see `Separator.separate`."""
        check_mixture(mixture, rate, self)
        return {target: mixture.copy() for target in TARGETS}
