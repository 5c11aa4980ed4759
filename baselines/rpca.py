"""Robust PCA: the accompaniment repeats and so is of low rank, the voice is sparse over it.

    min ||L||_* + lambda ||S||_1   subject to   L + S = |X|,   lambda = k / sqrt(max(m, n))

solved by the inexact augmented Lagrangian method: S by soft thresholding, L by thresholding
singular values, one multiplier. |S| and |L| then make a mask on the mixture.

Differences from the paper: the singular values are thresholded by `proximal`, without a singular
value decomposition; the transform has the suite's sine window (the paper names none) and gives
back every sample.

The penalty on L + S - |X| grows by `rho` a step. By 1.5, as in the reference, the path ends short
of the optimum, some 1e-4 above the least objective with part of L left in S; by 1.1 it ends at it,
in three times the steps. ``make benchmark`` measures both.

References
----------
Huang, Chen, Smaragdis, Hasegawa-Johnson: Singing-voice separation from monaural recordings using
robust principal component analysis, ICASSP 2012, eq. 1 (model), 2-3 (masks).
Lin, Chen, Ma: The augmented Lagrange multiplier method for exact recovery of corrupted low-rank
matrices, 2010, algorithm 5 (solver).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from baselines.algorithms.low_rank import (
    Matrix,
    SingularValueThreshold,
    soft_threshold,
    spectral_norm,
)
from bench import masks
from bench.masks import Masks
from bench.methods.separator import MaskSeparator, Spectrogram, separator

TOLERANCE = 1e-7
MAX_STEPS = 2000


def robust_pca(matrix: Matrix, k: float = 1.0, rho: float = 1.5) -> tuple[Matrix, Matrix]:
    """Split a matrix into a low-rank and a sparse part.

    Parameters
    ----------
    matrix
        ``(m, n)``.
    k
        Scale of the weight on sparsity, ``lambda = k / sqrt(max(m, n))``.
    rho
        Growth of the penalty in each step, above 1.

    Returns
    -------
    low_rank, sparse
        ``(m, n)`` each; they add up to the matrix within 1e-7 of its norm.
    """
    norm = np.linalg.norm(matrix)
    if norm == 0:
        return np.zeros_like(matrix), np.zeros_like(matrix)
    weight = k / np.sqrt(max(matrix.shape))
    spectral = spectral_norm(matrix)
    multiplier = matrix / max(spectral, np.abs(matrix).max() / weight)
    mu = 1.25 / spectral
    largest = mu * 1e7
    low_rank = np.zeros_like(matrix)
    threshold = SingularValueThreshold(spectral)
    for _ in range(MAX_STEPS):
        target = multiplier / mu
        target += matrix
        sparse = soft_threshold(target - low_rank, weight / mu)
        target -= sparse
        low_rank = threshold(target, 1.0 / mu)
        residual = matrix - low_rank
        residual -= sparse
        # target is X - S + Y / mu here: what the threshold cut off it is the multiplier's share.
        multiplier = mu * (target - low_rank)
        mu = min(mu * rho, largest)
        if np.linalg.norm(residual) < TOLERANCE * norm:
            break
    return low_rank, sparse


@separator
class RPCA(MaskSeparator):
    """Robust PCA on the mixture's magnitude, a channel at a time.

    Parameters
    ----------
    mask
        ``soft``: |S| / (|S| + |L|); ``binary``: 1 where |S| >= gain |L|.
    gain
        Of the low-rank part in the comparison that makes the mask.
    k
        Scale of the weight on sparsity.
    rho
        Growth of the solver's penalty in each step.
    n_fft, hop
        Of the transform, 1,024 and 256 samples in the paper.
    """

    VERSION: ClassVar[int] = 2

    mask: Literal["soft", "binary"] = "soft"
    gain: float = Field(1.0, gt=0)
    k: float = Field(1.0, gt=0)
    rho: float = Field(1.5, gt=1)
    hop: int = 256

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return the masks of sparse voice over low-rank accompaniment."""
        parts = [robust_pca(np.abs(channel), self.k, self.rho) for channel in spectrogram]
        magnitudes = {
            "vocals": np.abs(np.stack([sparse for _, sparse in parts])),
            "accompaniment": self.gain * np.abs(np.stack([low for low, _ in parts])),
        }
        return masks.soft(magnitudes) if self.mask == "soft" else masks.binary(magnitudes)
