"""Robust PCA: a matrix as the sum of a low-rank and a sparse one, which may be drawn to a prior.

    min ||L||_* + lambda ||S||_1 + gamma/2 ||S - M||_F^2   subject to   L + S = X

The inexact augmented Lagrangian method finds S by soft thresholding and L by thresholding singular
values, with one multiplier. The singular values are thresholded by `low_rank`, without a singular
value decomposition. The prior M leaves the step of S in closed form: what is thresholded is the
mean of M and of S's share of the constraint, weighted by gamma and by the penalty.

The penalty on L + S - X grows by the factor `rho` in each step. With 1.5, as in the reference, the
path ends short of the optimum: without a prior the objective is about 5e-4 above its minimum and
part of L is left in S. With 1.1 it ends at the optimum in three times the steps. ``make benchmark``
measures both.

References
----------
Lin, Chen, Ma: The augmented Lagrange multiplier method for exact recovery of corrupted low-rank
matrices, 2010, algorithm 5.
"""

from __future__ import annotations

import numpy as np

from baselines.algorithms.low_rank import (
    Matrix,
    SingularValueThreshold,
    soft_threshold,
    spectral_norm,
)

#: Residual as a fraction of the matrix's norm at which the path of the reference ends.
TOLERANCE = 1e-7
#: That of the methods, whose masks need no more: 60 dB below the mixture.
MASK_TOLERANCE = 1e-3
MAX_STEPS = 2000


def robust_pca(
    matrix: Matrix,
    weight: float | None = None,
    rho: float = 1.5,
    tolerance: float = TOLERANCE,
    prior: Matrix | None = None,
    pull: float = 0.0,
) -> tuple[Matrix, Matrix]:
    """Split a matrix into a low-rank and a sparse part.

    Parameters
    ----------
    matrix
        X, ``(m, n)``.
    weight
        lambda, the weight on sparsity; None: ``1 / sqrt(max(m, n))``.
    rho
        Growth of the penalty in each step, above 1.
    tolerance
        Residual of the constraint at which the path ends, as a fraction of the matrix's norm.
    prior
        M, ``(m, n)``, to which the sparse part is drawn; None: to nothing.
    pull
        gamma, the weight of the prior; 0 without one.

    Returns
    -------
    low_rank, sparse
        ``(m, n)`` each; they add up to the matrix within `tolerance`.
    """
    norm = np.linalg.norm(matrix)
    if norm == 0:
        return np.zeros_like(matrix), np.zeros_like(matrix)
    if weight is None:
        weight = 1.0 / float(np.sqrt(max(matrix.shape)))
    spectral = spectral_norm(matrix)
    multiplier = matrix / max(spectral, np.abs(matrix).max() / weight)
    mu = 1.25 / spectral
    largest = mu * 1e7
    low_rank = np.zeros_like(matrix)
    threshold = SingularValueThreshold(spectral)
    for _ in range(MAX_STEPS):
        target = multiplier / mu
        target += matrix
        share = target - low_rank
        if prior is not None:
            share = (pull * prior + mu * share) / (pull + mu)
        sparse = soft_threshold(share, weight / (pull + mu))
        target -= sparse
        low_rank = threshold(target, 1.0 / mu)
        residual = matrix - low_rank
        residual -= sparse
        # target is X - S + Y / mu here: what the threshold cut off it is the multiplier's share.
        multiplier = mu * (target - low_rank)
        mu = min(mu * rho, largest)
        if np.linalg.norm(residual) < tolerance * norm:
            break
    return low_rank, sparse
