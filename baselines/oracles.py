"""Ideal masks: what a mask could reach at best, made from the true sources.

With V and A the spectrograms of voice and accompaniment and X = V + A:

    binary           1 where |V| >= |A|, else 0
    ratio            |V|^p / (|V|^p + |A|^p), p = 1 (magnitude) or 2 (power, Wiener-like)
    phase-sensitive  Re(V / X) clipped to [0, 1]: the best real mask for the mixture's phase

References
----------
Wang: On ideal binary mask as the computational goal of auditory scene analysis, 2005 (binary).
Erdogan, Hershey, Watanabe, Le Roux: Phase-sensitive and recognition-boosted speech separation
using deep recurrent neural networks, ICASSP 2015, table 1 (ratio, phase-sensitive).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench import masks
from bench.masks import Masks
from bench.separator import Oracle, Spectrogram, separator


@separator
class IdealBinaryMask(Oracle):
    """Each bin whole to the louder source."""

    def track_masks(self, references: dict[str, Spectrogram]) -> Masks:
        """Return binary masks of the true magnitudes."""
        return masks.binary({target: np.abs(s) for target, s in references.items()})


@separator
class IdealRatioMask(Oracle):
    """Each bin shared in proportion to the true magnitudes.

    Parameters
    ----------
    power
        1 for magnitudes, 2 for powers.
    """

    power: Literal[1, 2] = 1

    def track_masks(self, references: dict[str, Spectrogram]) -> Masks:
        """Return soft masks of the true magnitudes."""
        return masks.soft({target: np.abs(s) for target, s in references.items()}, self.power)


@separator
class PhaseSensitiveMask(Oracle):
    """The real mask nearest to the true voice under the mixture's phase, kept in [0, 1]."""

    def track_masks(self, references: dict[str, Spectrogram]) -> Masks:
        """Return ``clip(Re(V / X), 0, 1)`` and its complement, which is the accompaniment's."""
        voice = references["vocals"]
        mixture = voice + references["accompaniment"]
        power = np.square(np.abs(mixture))
        product = np.real(voice * np.conj(mixture))
        share = np.divide(product, power, out=np.full_like(power, 0.5), where=power > 0)
        share = np.clip(share, 0.0, 1.0)
        return {"vocals": share, "accompaniment": 1.0 - share}
