"""The Cholesky factor of a block Toeplitz matrix, in time that grows with its square.

A block Toeplitz matrix T of n blocks a side, each ``(p, p)``, changes little when it is moved down
its diagonal by one block (Z): ``T - Z T Z' = A'A - B'B`` with A and B of p rows only. The
generalised Schur algorithm reads the factor U of ``T = U'U`` off these rows. A holds the first p
rows of U. To go on by one block, A moves to the right by p columns, and rotations that keep
``A'A - B'B`` clear the first block of B: plane rotations within B, and one hyperbolic rotation a
column between A and B, in the mixed form that keeps the error near that of orthogonal steps. So
the factor takes some ``3 p (n p)^2`` operations instead of ``(n p)^3 / 3``: at 512 lags of two
signals a fiftieth of them. The loops are compiled by Numba.

References
----------
Kailath, Sayed: Displacement structure: theory and applications, SIAM Review 37(3), 1995 (the
generalised Schur algorithm).
Bojanczyk, Brent, de Hoog, Sweet: On the stability of the Bareiss and related Toeplitz
factorization algorithms, SIAM Journal on Matrix Analysis and Applications 16(1), 1995 (the mixed
form, and its error).
Chandrasekaran, Sayed: Stabilizing the generalized Schur algorithm, SIAM Journal on Matrix Analysis
and Applications 17(4), 1996 (one hyperbolic rotation a column).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def cholesky(first: Matrix) -> Matrix | None:
    """Return the upper factor U of a block Toeplitz matrix ``T = U'U``.

    Parameters
    ----------
    first
        Its first row of blocks, ``(p, n p)``.

    Returns
    -------
    Matrix or None
        ``(n p, n p)``, whose part below the diagonal is not set; None where the matrix is not
        safely positive definite, or Numba cannot run here.
    """
    rotated, p = compiled(), len(first)
    if rotated is None:
        return None
    try:
        root = np.linalg.cholesky(first[:, :p])
    except np.linalg.LinAlgError:
        return None
    a = np.ascontiguousarray(scipy.linalg.solve_triangular(root, first, lower=True))
    b = a.copy()
    b[:, :p] = 0
    upper = np.empty((first.shape[1], first.shape[1]))
    return upper if rotated(a, b, upper) else None


@functools.cache
def compiled() -> Callable[[Matrix, Matrix, Matrix], bool] | None:
    """Return `rotate` as machine code, or None where Numba cannot make it.

    Numba is imported here, since it takes longer than most tracks. It keeps the code beside this
    file or in the user's folder of caches; where it can write to neither, it compiles anew in each
    process.
    """
    try:
        import numba
    except ImportError:  # it refuses versions of NumPy that it does not know
        return None
    if getattr(numba.config, "DISABLE_JIT", False):
        return None
    signature = "boolean(float64[:,::1], float64[:,::1], float64[:,::1])"
    machine_code: Callable[[Matrix, Matrix, Matrix], bool]
    try:
        machine_code = numba.njit(signature, cache=True, nogil=True, error_model="numpy")(rotate)
    except (RuntimeError, OSError):  # no folder for its cache
        machine_code = numba.njit(signature, nogil=True, error_model="numpy")(rotate)
    return machine_code


def rotate(a: Matrix, b: Matrix, upper: Matrix) -> bool:
    """Write the rows of the factor; tell whether all went well.

    Parameters
    ----------
    a, b
        The generators, ``(p, n p)`` each; overwritten. At every step, column i of a meets column
        ``start + i`` of b, so that neither has to be moved.
    upper
        ``(n p, n p)``, written from the diagonal on.
    """
    p, size = a.shape
    for start in range(0, size, p):
        left = size - start
        for c in range(p):
            x = b[0, start:]
            # Plane rotations bring column c of b into its first row,
            for r in range(1, p):
                y = b[r, start:]
                length = math.sqrt(x[c] * x[c] + y[c] * y[c])
                if length > 0.0:
                    cosine, sine = x[c] / length, y[c] / length
                    for i in range(c, left):
                        old = x[i]
                        x[i] = cosine * old + sine * y[i]
                        y[i] = cosine * y[i] - sine * old
            # and a hyperbolic one brings that into a; z is then the next row of the factor.
            z, row = a[c], upper[start + c, start:]
            share = x[c] / z[c]
            if not abs(share) < 1.0:
                return False
            rest = math.sqrt((1.0 - share) * (1.0 + share))
            gain = 1.0 / rest
            for i in range(c, left):
                z[i] = gain * (z[i] - share * x[i])
                x[i] = rest * x[i] - share * z[i]
                row[i] = z[i]
    return True
