"""Robust PCA: the accompaniment repeats and so is of low rank, the voice is sparse over it.

    min ||L||_* + lambda ||S||_1   subject to   L + S = |X|,   lambda = k / sqrt(max(m, n))

solved by the inexact augmented Lagrangian method: S by soft thresholding, L by thresholding
singular values, one multiplier. |S| and |L| then make a mask on the mixture.

Differences from the paper: the singular-value threshold takes eigenvectors of the smaller Gram
matrix in place of a singular value decomposition; the transform has the suite's sine window (the
paper names none) and gives back every sample.

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
import scipy.linalg
from numpy.typing import NDArray
from pydantic import Field

from bench import masks
from bench.masks import Masks
from bench.separator import MaskSeparator, Spectrogram, separator

Matrix = NDArray[np.float64]

RHO = 1.5
TOLERANCE = 1e-7
MAX_STEPS = 200


def soft_threshold(matrix: Matrix, threshold: float) -> Matrix:
    """Pull each value towards 0 by `threshold`."""
    shrunk: Matrix = np.sign(matrix) * np.maximum(np.abs(matrix) - threshold, 0.0)
    return shrunk


def singular_value_threshold(matrix: Matrix, threshold: float) -> Matrix:
    """Pull each singular value of ``(m, n)`` towards 0 by `threshold`.

    ``U (s - threshold)+ V'`` equals the matrix times ``V diag((1 - threshold / s)+) V'``, and V
    holds the eigenvectors of the smaller Gram matrix.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return singular_value_threshold(matrix.T, threshold).T
    values, vectors = scipy.linalg.eigh(matrix.T @ matrix, driver="evd", overwrite_a=True)
    kept = values > threshold**2
    vectors = vectors[:, kept]
    scale = 1.0 - threshold / np.sqrt(values[kept])
    shrunk: Matrix = matrix @ (vectors * scale) @ vectors.T
    return shrunk


def robust_pca(matrix: Matrix, k: float = 1.0) -> tuple[Matrix, Matrix]:
    """Split a matrix into a low-rank and a sparse part.

    Parameters
    ----------
    matrix
        ``(m, n)``.
    k
        Scale of the weight on sparsity, ``lambda = k / sqrt(max(m, n))``.

    Returns
    -------
    low_rank, sparse
        ``(m, n)`` each; they add up to the matrix within 1e-7 of its norm.
    """
    norm = np.linalg.norm(matrix)
    if norm == 0:
        return np.zeros_like(matrix), np.zeros_like(matrix)
    weight = k / np.sqrt(max(matrix.shape))
    spectral = float(np.linalg.norm(matrix, 2))
    multiplier = matrix / max(spectral, np.abs(matrix).max() / weight)
    mu = 1.25 / spectral
    largest = mu * 1e7
    low_rank = np.zeros_like(matrix)
    for _ in range(MAX_STEPS):
        sparse = soft_threshold(matrix - low_rank + multiplier / mu, weight / mu)
        low_rank = singular_value_threshold(matrix - sparse + multiplier / mu, 1.0 / mu)
        residual = matrix - low_rank - sparse
        multiplier += mu * residual
        mu = min(mu * RHO, largest)
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
    n_fft, hop
        Of the transform, 1,024 and 256 samples in the paper.
    """

    VERSION: ClassVar[int] = 1

    mask: Literal["soft", "binary"] = "soft"
    gain: float = Field(1.0, gt=0)
    k: float = Field(1.0, gt=0)
    hop: int = 256

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return the masks of sparse voice over low-rank accompaniment."""
        parts = [robust_pca(np.abs(channel), self.k) for channel in spectrogram]
        magnitudes = {
            "vocals": np.abs(np.stack([sparse for _, sparse in parts])),
            "accompaniment": self.gain * np.abs(np.stack([low for low, _ in parts])),
        }
        return masks.soft(magnitudes) if self.mask == "soft" else masks.binary(magnitudes)
