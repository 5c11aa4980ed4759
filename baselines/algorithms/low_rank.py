"""The two proximal steps of low-rank and sparse models: pull values, or singular values, to 0.

    soft(X, t)  minimises  t ||S||_1 + 1/2 ||S - X||_F^2   over S
    svt(X, t)   minimises  t ||L||_* + 1/2 ||L - X||_F^2   over L

The second is what such solvers spend their time on. With the eigenvectors V of X'X it is
``X V diag(h) V'``, ``h = (1 - t / s)+``. `SingularValueThreshold` follows the path of a solver,
on which each matrix is near the one before: it decomposes in single precision while the threshold
is high, and later keeps V and takes h(V'X'XV) by its expansion about the diagonal.

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
import scipy.linalg
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Single = NDArray[np.float32]
Real = NDArray[Any]

#: Thresholds above this share of the scale are taken in single precision.
SINGLE = 3e-3
#: V is kept while no column is off by more than ``DRIFT sqrt(scale / threshold)`` or FARTHEST:
#: an error counts for less as the threshold falls.
DRIFT, FARTHEST = 6e-3, 0.5
#: Below this share of all, the eigenvectors that stay are few.
FEW = 0.08
#: Two eigenvalues count as this share of the larger apart at least.
CLOSE = 1e-4


def soft_threshold(matrix: Matrix, threshold: float) -> Matrix:
    """Pull each value towards 0 by `threshold`."""
    clipped = np.clip(matrix, -threshold, threshold)
    return np.subtract(matrix, clipped, out=clipped)


def singular_value_threshold(matrix: Matrix, threshold: float) -> Matrix:
    """Pull each singular value of ``(m, n)`` towards 0 by `threshold`."""
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
    """Threshold ``(m, n)``, m >= n, by the eigenvectors of its Gram matrix.

    Parameters
    ----------
    matrix
        In single or double precision, in which all is done.
    threshold
        As in `singular_value_threshold`.
    few
        Look for the eigenvectors that stay, and for no other: quicker where they are few.

    Returns
    -------
    shrunk
        ``(m, n)``.
    vectors
        The eigenvectors in columns.
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
    """Thresholds one matrix after another along the path of a solver.

    Parameters
    ----------
    scale
        The size of the largest singular values that will come, such as the first matrix's
        spectral norm.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.rank = 0
        self.near: Neighbourhood | None = None

    def __call__(self, matrix: Matrix, threshold: float) -> Matrix:
        """Return the matrix ``(m, n)`` with each singular value pulled to 0 by `threshold`.

        Along the path of robust PCA the parts found stay within 1e-4 of those by full
        decompositions in double precision (the tests hold it).
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
    """The thresholding of matrices X near one that was decomposed.

    With ``P = X V / scale`` and ``P'P = diag(l) + E``, the first order of ``h(P'P)`` is
    ``diag(h) + H o E``, H the divided differences of h; of the second order the diagonal is
    taken too. What changes from one matrix to the next is small, and so is carried in single
    precision onto what was there in double.
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
        """Return the thresholded matrix, or None where it has gone too far."""
        level = threshold / self.scale
        limit = min(FARTHEST, DRIFT / np.sqrt(level))
        self.steps += 1
        if self.drift * self.steps > limit * max(self.steps - 1, 1):
            return None  # at this pace the next step is too far: spare the look
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
    """Return a - b, taken in double and kept in single precision."""
    difference: Single = np.empty(a.shape, np.float32)
    np.subtract(a, b, out=difference, casting="same_kind")
    return difference


def shares_of(roots: Matrix, level: float) -> Matrix:
    """Return what is left of each singular value, as a share of it."""
    shares: Matrix = np.maximum(1.0 - level / np.maximum(roots, level), 0.0)
    return shares


class Expansion(NamedTuple):
    """What `expanded` finds.

    Attributes
    ----------
    drift
        How far the columns that stay are from orthogonal to all, the largest root of a sum of
        squared cosines. Those that are cut count by their size: how they lie among each other
        does not matter.
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
        P, ``(m, n)``, its columns nearly orthogonal.
    roots
        ``(n,)``: how long they are.
    level
        The threshold, below some of them.
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
