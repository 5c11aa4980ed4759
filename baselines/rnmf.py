"""Robust NMF: a low-rank accompaniment and a sparse, non-negative voice.

    min over W, H, O >= 0 of  1/2 ||X - W H - O||_F^2 + ridge/2 (||W||^2 + ||H||^2) + weight ||O||_1

The ridge on W and H is the nuclear norm of the accompaniment in its Frobenius form; O is the
voice. `RNMF` minimises it on each mixture by multiplicative updates, which never raise the cost.
`baselines.networks.rnmf` unrolls the solver into a network and trains it.

Of the constants that the paper leaves open, the number of components and the weight on the voice
were compared on training songs held out (`select_rnmf`); the ridge and the number of updates are
not tuned.

References
----------
Sprechmann, Bronstein, Sapiro: Real-time online singing voice separation from monaural recordings
using robust low-rank modeling, ISMIR 2012.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from baselines.algorithms.nmf import robust_nmf
from bench import masks
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator


@separator
class RNMF(ChannelMaskSeparator):
    """Robust NMF solved on each mixture, one channel at a time; soft mask.

    Parameters
    ----------
    atoms
        Number of components of the accompaniment.
    ridge, weight
        Weights of the accompaniment's components and of the voice in the cost, for a mixture of
        mean magnitude 1.
    iterations
        Number of updates.
    seed
        Seed of the start.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 1

    atoms: int = Field(20, ge=1)
    ridge: float = Field(1.0, ge=0)
    weight: float = Field(3.0, ge=0)
    iterations: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return shares in proportion to the sparse and the low-rank part."""
        magnitude = np.abs(channel)
        mean = float(magnitude.mean()) or 1.0
        w, h, o = robust_nmf(
            magnitude / mean, self.atoms, self.ridge, self.weight, self.iterations, self.seed
        )
        return masks.soft({"vocals": o, "accompaniment": w @ h})
