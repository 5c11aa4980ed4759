"""Robust PCA with a harmonic prior: the sparse part is drawn to the harmonics of the voice.

    min ||L||_* + lambda ||S||_1 + gamma/2 ||S - M||_F^2   subject to   L + S = |X|

with M the mixture's magnitude behind a comb at the harmonics of a pitch track, which comes from a
first separation by robust PCA, with no labels. Robust PCA alone puts drums into S and a steady
voice into L; the prior pulls S back to what is harmonic. It is solved by `algorithms.robust_pca`,
close to the optimum.

Differences from the paper: its regulariser could not be recovered; this is the one of the same
laboratory's later work. That work's constants (k 1, pull 2, teeth of 60 to 80 Hz) gave way to those
that separate training songs held out best. The weight of the prior depends on the level of the
magnitudes: they are divided by a level that a few loud frames do not move. The track is pYIN's on
the first separation's voice.

References
----------
Yang: On sparse and low-rank matrix decomposition for singing voice separation, ACM Multimedia
2012.
Chan et al.: Vocal activity informed singing voice separation with the iKala dataset, ICASSP 2015
(the prior's form).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from baselines.algorithms.low_rank import Matrix
from baselines.algorithms.pitch import comb, pitch_of_sparse_voice
from baselines.algorithms.robust_pca import MASK_TOLERANCE, robust_pca
from bench import masks
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator

#: The level of a clip is PEAK times its LOUD frames' loudest bin: the quantile LOUD over frames. It
#: is the loudest bin of all in the median clip of MIR-1K's training songs.
LOUD, PEAK = 0.9, 1.9
#: Growth of the solver's penalty in each step: it ends near the optimum.
RHO = 1.3


def level_of(magnitude: Matrix) -> float:
    """Return the level of magnitudes ``(bins, frames)``.

    Where nearly all frames are silent it is that of the loudest bin, and 1 in silence.
    """
    loudest = magnitude.max(axis=0)
    return float(PEAK * np.quantile(loudest, LOUD) or loudest.max() or 1.0)


@separator
class RPCAh(ChannelMaskSeparator):
    """Robust PCA with a harmonic prior, a channel at a time; soft mask of |S| and |L|.

    Parameters
    ----------
    k
        Scale of the weight on sparsity, ``lambda = k / sqrt(n)`` with n frames.
    pull
        Scale of the prior's weight, ``gamma = pull / sqrt(n)``.
    width
        Width of a tooth of the comb in hertz.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 4

    k: float = Field(1.75, gt=0)
    pull: float = Field(4.0, ge=0)
    width: float = Field(30.0, gt=0)
    hop: int = 256

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return the soft masks of a sparse voice over a low-rank accompaniment."""
        low_rank, sparse = self.parts(channel, rate)
        return masks.soft({"vocals": np.abs(sparse), "accompaniment": np.abs(low_rank)})

    def parts(self, channel: Spectrogram, rate: int) -> tuple[Matrix, Matrix]:
        """Return the low-rank and the sparse part of one channel's magnitude."""
        magnitude = np.abs(channel)
        magnitude /= level_of(magnitude)
        prior = magnitude * self.harmonics(channel, rate)
        root = float(np.sqrt(magnitude.shape[1]))
        return robust_pca(magnitude, self.k / root, RHO, MASK_TOLERANCE, prior, self.pull / root)

    def harmonics(self, channel: Spectrogram, rate: int) -> NDArray[np.bool_]:
        """Return the bins at the harmonics of the voice that robust PCA finds first."""
        pitch = pitch_of_sparse_voice(channel, rate, self.n_fft, self.hop)
        return comb(pitch, len(channel), rate, self.width)
