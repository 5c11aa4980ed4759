"""The two proximal steps of low-rank and sparse models: thresholds on values and singular values.

    soft(X, t)  minimises  t ||S||_1 + 1/2 ||S - X||_F^2   over S
    svt(X, t)   minimises  t ||L||_* + 1/2 ||L - X||_F^2   over L

Solvers spend most of their time on the second step. With the eigenvectors V of X'X and the
singular values s it is ``X V diag(h) V'``, ``h = (1 - t / s)+``. `SingularValueThreshold` follows
the path of a solver, on which each matrix is near the previous one. While the threshold is high,
it decomposes each matrix in single precision. Later it keeps V, and expands h(V'X'XV) about the
diagonal.

References
----------
Cai, Candes, Shen: A singular value thresholding algorithm for matrix completion, SIAM J. Optim.
20(4), 2010, theorem 2.1.
Daleckii, Krein, 1965: derivatives of functions of symmetric matrices by divided differences (as in
Higham: Functions of Matrices, SIAM 2008, theorem 3.11).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Single = NDArray[np.float32]
Real = NDArray[Any]

#: A threshold above this fraction of the scale is applied in single precision.
SINGLE = 3e-3
#: V is kept while the drift of every column is at most ``DRIFT sqrt(scale / threshold)`` and at
#: most FARTHEST: an error matters less as the threshold falls.
DRIFT, FARTHEST = 6e-3, 0.5
#: Fraction of all eigenvectors below which it is faster to compute only those that are kept.
FEW = 0.08
#: Two eigenvalues are treated as equal if they differ by less than this fraction of the larger one.
CLOSE = 1e-4


def soft_threshold(matrix: Matrix, threshold: float) -> Matrix:
    """Return a matrix with each value moved towards 0 by `threshold`, and 0 where it is smaller."""
    clipped = np.clip(matrix, -threshold, threshold)
    return np.subtract(matrix, clipped, out=clipped)


def singular_value_threshold(matrix: Matrix, threshold: float) -> Matrix:
    """Return a matrix ``(m, n)`` with each singular value moved towards 0 by `threshold`."""
    if matrix.shape[0] < matrix.shape[1]:
        return singular_value_threshold(matrix.T, threshold).T
    shrunk: Matrix = decomposed(matrix, threshold)[0]
    return shrunk


def spectral_norm(matrix: Matrix) -> float:
    """Return the largest singular value of ``(m, n)``."""
    if matrix.shape[0] < matrix.shape[1]:
        return spectral_norm(matrix.T)
    last = matrix.shape[1] - 1
    gram = matrix.T @ matrix
    largest = scipy.linalg.eigh(gram, eigvals_only=True, subset_by_index=(last, last))
    return float(np.sqrt(largest[0]))


def decomposed(matrix: Real, threshold: float, few: bool = False) -> tuple[Real, Real]:
    """Threshold the singular values of a matrix by the eigenvectors of its Gram matrix.

    Parameters
    ----------
    matrix
        ``(m, n)``, m >= n, in single or double precision; all steps have its precision.
    threshold
        Amount by which each singular value is lowered.
    few
        Whether to compute only the eigenvectors that are kept, which is faster where they are few.

    Returns
    -------
    shrunk
        The matrix with lowered singular values, ``(m, n)``.
    vectors
        The computed eigenvectors in columns.
    """
    gram = matrix.T @ matrix
    settings: dict[str, Any] = {"driver": "evd"}
    if few:
        settings = {"driver": "evr", "subset_by_value": (threshold**2, np.inf)}
    values, vectors = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False, **settings)
    kept = vectors[:, values > threshold**2]
    shares = 1.0 - threshold / np.sqrt(values[values > threshold**2])
    return (matrix @ (kept * shares)) @ kept.T, vectors


class SingularValueThreshold:
    """Thresholds the singular values of one matrix after another along the path of a solver.

    Parameters
    ----------
    scale
        Magnitude of the largest singular values on the path, such as the spectral norm of the first
        matrix.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.rank = 0
        self.near: Neighbourhood | None = None

    def __call__(self, matrix: Matrix, threshold: float) -> Matrix:
        """Return the matrix ``(m, n)`` with each singular value moved towards 0 by `threshold`.

        Along the path of robust PCA the parts stay within 1e-4 of those that full decompositions in
        double precision give; a test holds this.
        """
        if matrix.shape[0] < matrix.shape[1]:
            return self(matrix.T, threshold).T
        if np.linalg.norm(matrix) <= threshold:
            return np.zeros_like(matrix)
        if threshold > SINGLE * self.scale:
            few = self.rank < FEW * matrix.shape[1]
            shrunk, vectors = decomposed(matrix.astype(np.float32), threshold, few)
            self.rank = vectors.shape[1] if few else self.rank
            return shrunk.astype(np.float64)
        changed = self.near.follow(matrix, threshold) if self.near else None
        if changed is None:
            self.near = Neighbourhood(self.scale, matrix, threshold)
            return self.near.shrunk
        return changed


class Neighbourhood:
    """Thresholds matrices X near a matrix that was decomposed.

    With ``P = X V / scale`` and ``P'P = diag(l) + E``, the first order of ``h(P'P)`` is
    ``diag(h) + H o E``, H the divided differences of h; the diagonal of the second order is taken
    too. The change from one matrix to the next is small: it is computed in single precision and
    added to the result before in double precision.
    """

    def __init__(self, scale: float, matrix: Matrix, threshold: float) -> None:
        self.scale, self.matrix = scale, matrix
        vectors = scipy.linalg.eigh(
            matrix.T @ matrix, driver="evd", overwrite_a=True, check_finite=False
        )[1]
        self.vectors = vectors.astype(np.float32)
        self.rotated = matrix @ vectors / scale
        level = threshold / scale
        roots = np.linalg.norm(self.rotated, axis=0)
        kept = roots > level
        self.weighted = self.rotated * shares_of(roots, level)
        self.shrunk: Matrix = self.weighted[:, kept] @ vectors[:, kept].T * scale
        self.steps, self.drift = 0, 0.0

    def follow(self, matrix: Matrix, threshold: float) -> Matrix | None:
        """Return the thresholded matrix, or None where it is too far from the decomposed one."""
        level = threshold / self.scale
        limit = min(FARTHEST, DRIFT / np.sqrt(level))
        self.steps += 1
        if self.drift * self.steps > limit * max(self.steps - 1, 1):
            return None  # at this rate of drift the next step is too far: it need not be tried
        step = narrowed_difference(matrix, self.matrix) / np.float32(self.scale)
        self.rotated += step @ self.vectors
        self.matrix = matrix
        values = np.einsum("ij,ij->j", self.rotated, self.rotated)
        roots = np.sqrt(values)
        kept = roots > level
        if not kept.any():
            return None
        near = expanded(self.rotated.astype(np.float32), roots.astype(np.float32), level)
        self.drift = near.drift
        if self.drift > limit:
            return None
        shares = shares_of(roots, level)
        shares[kept] += near.second_kept
        shares[~kept] += near.second_cut
        weighted = self.rotated * shares
        weighted[:, kept] += near.into_kept
        weighted[:, ~kept] += near.into_cut
        change = narrowed_difference(weighted, self.weighted) @ self.vectors.T
        change *= np.float32(self.scale)
        self.weighted = weighted
        self.shrunk = self.shrunk + change
        return self.shrunk


def narrowed_difference(a: Matrix, b: Matrix) -> Single:
    """Return a - b in single precision, subtracted in double precision."""
    difference: Single = np.empty(a.shape, np.float32)
    np.subtract(a, b, out=difference, casting="same_kind")
    return difference


def shares_of(roots: Matrix, level: float) -> Matrix:
    """Return the fraction of each singular value that the threshold leaves."""
    shares: Matrix = np.maximum(1.0 - level / np.maximum(roots, level), 0.0)
    return shares


class Expansion(NamedTuple):
    """The terms of an expansion; see `expanded`.

    Attributes
    ----------
    drift
        Distance of the kept columns from being orthogonal to all columns: the largest root of a sum
        of squared cosines. Cut columns count by their size; the angles among them do not matter.
    second_kept, second_cut
        ``(kept,)`` and ``(cut,)``: the second order of h at the diagonal.
    into_kept, into_cut
        ``(m, kept)`` and ``(m, cut)``: the first order of ``P h(P'P)``.
    """

    drift: float
    second_kept: Single
    second_cut: Single
    into_kept: Single
    into_cut: Single


def expanded(rotated: Single, roots: Single, level: float) -> Expansion:
    """Expand ``P h(P'P)``, ``h(l) = (1 - level / sqrt(l))+``, about the diagonal of ``P'P``.

    Between two columns that stay, r and s long, ``h[i, j] = level / (r s (r + s))`` and
    ``h[i, i, j] = -level (s + 2 r) / (2 r^3 s (r + s)^2)``.

    Parameters
    ----------
    rotated
        P, ``(m, n)``, with nearly orthogonal columns.
    roots
        Norms of the columns, ``(n,)``.
    level
        The threshold; some norms are above it.
    """
    kept = roots > level
    own, cut = roots[kept, None], roots[~kept]
    stay, go = rotated[:, kept], rotated[:, ~kept]
    cosines = (stay / own.T).T @ (stay / own.T)
    np.fill_diagonal(cosines, 0.0)
    across = (stay / own.T).T @ go / own
    drift = ((cosines * np.minimum(own.T / own, 1.0)) ** 2).sum(axis=1) + (across**2).sum(axis=1)

    total = own + own.T
    first = level * cosines / total
    bend = own.T * (own.T + 2.0 * own) / (own * total**2)
    second = -0.5 * level * (bend * cosines**2).sum(axis=1)

    ratio = across / np.maximum(1.0 - (cut / own) ** 2, CLOSE)
    out = (1.0 - level / own) * ratio
    second += ((0.5 * level / own * across - out) * ratio).sum(axis=1)
    return Expansion(
        drift=float(np.sqrt(drift.max())),
        second_kept=second,
        second_cut=(out * ratio).sum(axis=0),
        into_kept=stay @ first + go @ out.T,
        into_cut=stay @ out,
    )
