"""Non-negative matrix factorisation: the updates that several methods share.

References
----------
Lee, Seung: Algorithms for non-negative matrix factorization, NIPS 2000 (updates).
Févotte, Bertin, Durrieu: Nonnegative matrix factorization with the Itakura-Saito divergence, Neural
Computation 21(3), 2009 (Itakura-Saito).
Sprechmann, Bronstein, Sapiro: Real-time online singing voice separation from monaural recordings
using robust low-rank modeling, ISMIR 2012 (robust NMF).
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Matrix = NDArray[np.float64]

#: Keeps the quotients of robust NMF defined where a model is 0.
TINY = 1e-12
#: Smallest value of a frame whose mean is 1.
FLOOR = 1e-10


def levelled(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return frames with a mean of 1 and nothing below `FLOOR`.

    The updates treat values near 0 by an absolute floor, and the Itakura-Saito divergence has none.
    Single precision halves the time.
    """
    mean = frames.mean()
    scaled = frames / mean if mean > 0 else frames
    return np.maximum(scaled, FLOOR).astype(np.float32)


def semi_supervised(
    frames: NDArray[Any],
    fixed: NDArray[np.float64],
    n_free: int,
    divergence: str,
    iterations: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Model frames by fixed atoms and free ones, which are found with the activations.

    Parameters
    ----------
    frames
        ``(frames, bins)``, positive.
    fixed
        Atoms that are never changed, ``(atoms, bins)``.
    n_free
        Number of free atoms.
    divergence
        ``kl`` or ``is``.
    iterations
        Number of updates of the activations and of the free atoms.
    seed
        Seed of the free atoms' start.

    Returns
    -------
    activations, atoms
        ``(frames, atoms)`` and ``(atoms, bins)``, the fixed ones first.
    """
    beta, power = (1, 1.0) if divergence == "kl" else (0, 0.5)
    x = frames.astype(np.float64)
    start = np.random.default_rng(seed).uniform(0.5, 1.5, (n_free, x.shape[1])) * x.mean(axis=0)
    atoms = np.concatenate([fixed, start])
    activations = np.full((len(x), len(atoms)), x.mean() / max(atoms.mean() * len(atoms), FLOOR))
    free = slice(len(fixed), None)

    def ratio() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        model = np.maximum(activations @ atoms, FLOOR)
        return x * model ** (beta - 2), model ** (beta - 1)

    for _ in range(iterations):
        above, below = ratio()
        activations *= (above @ atoms.T / np.maximum(below @ atoms.T, FLOOR)) ** power
        above, below = ratio()
        of_free = activations[:, free].T
        atoms[free] *= (of_free @ above / np.maximum(of_free @ below, FLOOR)) ** power
    return activations, atoms


def check_heard(frames: NDArray[np.floating], target: str) -> None:
    """Refuse to learn spectra of a target from magnitudes of its training frames that are all 0.

    Raises
    ------
    BenchError
        Every frame is silent.
    """
    if not frames.any():
        raise BenchError(f"no frame to learn from: {target} of all tracks is silent")


def ignored_convergence() -> warnings.catch_warnings[None]:
    """Return a context in which reaching the last iteration, as is meant, gives no warning."""
    from sklearn.exceptions import ConvergenceWarning

    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)


def robust_nmf(
    matrix: Matrix, atoms: int, ridge: float, weight: float, iterations: int, seed: int
) -> tuple[Matrix, Matrix, Matrix]:
    """Split a non-negative matrix into a low-rank part W H and a sparse part O.

    Each update lowers ``||X - W H - O||_F^2 / 2 + ridge / 2 (||W||^2 + ||H||^2) + weight ||O||_1``
    or leaves it as it is.

    Parameters
    ----------
    matrix
        X, ``(m, n)``.
    atoms
        Number of columns of W.
    ridge, weight
        Weights of ``(||W||^2 + ||H||^2) / 2`` and of ``||O||_1`` in the cost.
    iterations
        Number of updates of all three parts.
    seed
        Seed of the start.

    Returns
    -------
    w, h, o
        ``(m, atoms)``, ``(atoms, n)``, ``(m, n)``, non-negative.
    """
    rng = np.random.default_rng(seed)
    m, n = matrix.shape
    scale = math.sqrt(matrix.mean() / atoms) if matrix.any() else 0.0
    w, h = (scale * rng.uniform(0.5, 1.5, shape) for shape in ((m, atoms), (atoms, n)))
    o = 0.5 * matrix
    for _ in range(iterations):
        h *= (w.T @ matrix) / (w.T @ (w @ h + o) + ridge * h + TINY)
        w *= (matrix @ h.T) / ((w @ h + o) @ h.T + ridge * w + TINY)
        o *= matrix / (w @ h + o + weight + TINY)
    return w, h, o
