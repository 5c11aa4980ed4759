"""Robust PCA with a harmonic prior: the sparse part is drawn to the harmonics of the voice.

    min ||L||_* + lambda ||S||_1 + gamma/2 ||S - M||_F^2   subject to   L + S = |X|

with M the mixture's magnitude behind a comb at the harmonics of a pitch track, which comes from a
first separation by robust PCA, with no labels. S is split off as B = S, which takes the
thresholding; two multipliers. Robust PCA alone puts drums into S and a steady voice into L; the
prior pulls S back to what is harmonic.

Differences from the paper: its regulariser could not be recovered; this is the one of the same
laboratory's later work, on magnitudes whose largest value is 1, so that one loud event weakens the
prior, and with it the voice, in the whole clip. That work's constants (k 1, pull 2,
teeth of 60 to 80 Hz) gave way to those that separate training songs held out best. The track is
pYIN's on the first separation's voice.

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

from baselines.algorithms.low_rank import (
    MAX_STEPS,
    MU,
    RHO,
    TOLERANCE,
    Matrix,
    SingularValueThreshold,
    soft_threshold,
    spectral_norm,
)
from baselines.algorithms.pitch import comb, pitch_of_sparse_voice
from bench import masks
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator


def harmonic_pca(
    matrix: Matrix, prior: Matrix, weight: float, gamma: float
) -> tuple[Matrix, Matrix]:
    """Split a matrix into a low-rank part and a sparse one near a prior.

    Parameters
    ----------
    matrix, prior
        ``(m, n)``: X, and M, to which the sparse part is drawn.
    weight, gamma
        lambda and gamma above.

    Returns
    -------
    low_rank, sparse
        ``(m, n)`` each; they add up to the matrix within 1e-5 of its norm.
    """
    sparse, split, first, second = (np.zeros_like(matrix) for _ in range(4))
    low_rank = np.zeros_like(matrix)
    norm = np.linalg.norm(matrix)
    if norm == 0:
        return low_rank, sparse
    mu = MU
    threshold = SingularValueThreshold(spectral_norm(matrix))
    for _ in range(MAX_STEPS):
        low_rank = threshold(matrix - sparse + first / mu, 1.0 / mu)
        split = soft_threshold(sparse + second / mu, weight / mu)
        sparse = gamma * prior + first - second + mu * (matrix - low_rank + split)
        sparse /= gamma + 2.0 * mu
        residual, gap = matrix - low_rank - sparse, sparse - split
        first += mu * residual
        second += mu * gap
        mu *= RHO
        if max(np.linalg.norm(residual), np.linalg.norm(gap)) < TOLERANCE * norm:
            break
    return low_rank, sparse


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

    VERSION: ClassVar[int] = 3

    k: float = Field(1.75, gt=0)
    pull: float = Field(8.0, ge=0)
    width: float = Field(30.0, gt=0)
    hop: int = 256

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return the soft masks of a sparse voice over a low-rank accompaniment."""
        low_rank, sparse = self.parts(channel, rate)
        return masks.soft({"vocals": np.abs(sparse), "accompaniment": np.abs(low_rank)})

    def parts(self, channel: Spectrogram, rate: int) -> tuple[Matrix, Matrix]:
        """Return the low-rank and the sparse part of one channel's magnitude."""
        magnitude = np.abs(channel)
        prior = magnitude * self.harmonics(channel, rate)
        scale = float(magnitude.max()) or 1.0
        root = np.sqrt(magnitude.shape[1])
        low, sparse = harmonic_pca(
            magnitude / scale, prior / scale, self.k / root, self.pull / root
        )
        return low, sparse

    def harmonics(self, channel: Spectrogram, rate: int) -> NDArray[np.bool_]:
        """Return the bins at the harmonics of the voice that robust PCA finds first."""
        pitch = pitch_of_sparse_voice(channel, rate, self.n_fft, self.hop)
        return comb(pitch, len(channel), rate, self.width)
