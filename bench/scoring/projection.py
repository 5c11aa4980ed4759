"""Projections onto delayed signals: correlations summed over blocks, and a factor of their Gram.

The Gram matrix G of signals delayed by 0 to ``taps - 1`` samples holds their correlations, and
``b' G^-1 b`` is the energy of the projection of a signal whose products with them are b.
Correlations are summed in the frequency domain over short blocks, so memory does not grow with the
signals.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import scipy.fft
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BenchError

#: Length of the transforms over which correlations are summed, in samples.
BLOCK = 1 << 13
#: Numbers in the arrays of a step over blocks, few enough that memory is used again.
STEP = 1 << 19


class Factor:
    """A Cholesky factor of the Gram matrix of delayed signals.

    Where they depend on each other (silent or equal channels, tracks shorter than the filters),
    the least multiple of the identity that lets the matrix be factored is added: it moves no
    projection by more than its share of the energy. On the CPU the matrix is made and factored in
    place by LAPACK, half of it; on a GPU by PyTorch.

    Parameters
    ----------
    lags
        Correlations ``(row, row, 2 taps - 1)`` as `correlations` gives them.

    Raises
    ------
    BenchError
        The matrix cannot be factored.
    """

    def __init__(self, lags: Tensor) -> None:
        self.taps = (lags.shape[-1] + 1) // 2
        self.on_cpu = lags.device.type == "cpu"
        scale = float(lags[..., self.taps - 1].diagonal().max()) or 1.0
        for share in (0.0, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10):
            if self._factored(lags, share * scale):
                return
        raise BenchError("the references are too alike to be told apart by delays")

    def _factored(self, lags: Tensor, load: float) -> bool:
        """Factor the matrix with `load` added to its diagonal; tell whether that went well."""
        n, taps = len(lags), self.taps
        if self.on_cpu:
            blocks = np.empty((n, taps, n, taps))
            for a in range(n):
                for b in range(a + 1):
                    blocks[a, :, b] = toeplitz_view(lags[a, b].numpy(), taps)
            gram = blocks.reshape(n * taps, n * taps)
            if load:
                gram[np.diag_indices(n * taps)] += load
            # Its lower triangle is the upper one in LAPACK's order of axes.
            self.upper, info = scipy.linalg.lapack.dpotrf(gram.T, lower=0, clean=0, overwrite_a=1)
            return bool(info == 0)
        index = torch.arange(taps, device=lags.device)
        index = index[:, None] - index[None, :] + taps - 1
        full = lags[..., index].transpose(1, 2).reshape(n * taps, n * taps)
        full.diagonal().add_(load)
        self.lower, trouble = torch.linalg.cholesky_ex(full)
        return not bool(trouble.any())

    def leading(self, n: int) -> Factor:
        """Return the factor of the first `n` rows alone: the leading block of this one."""
        part, size = copy.copy(self), n * self.taps
        if self.on_cpu:
            part.upper = np.asfortranarray(self.upper[:size, :size])
        else:
            part.lower = self.lower[:size, :size]
        return part

    def half(self, b: Tensor) -> Tensor:
        """Return ``C^-1 b`` for columns ``(n, ...)``."""
        columns = b.reshape(len(b), -1)
        if self.on_cpu:
            y, _ = scipy.linalg.lapack.dtrtrs(self.upper, columns.numpy(), lower=0, trans=1)
            return torch.from_numpy(y).reshape(b.shape)
        solved: Tensor = torch.linalg.solve_triangular(self.lower, columns, upper=False)
        return solved.reshape(b.shape)

    def projected(self, b: Tensor) -> Tensor:
        """Return ``b' G^-1 b``, the energy of a projection, for each column."""
        return self.half(b).square().sum(0)

    def solve(self, b: Tensor) -> Tensor:
        """Return ``G^-1 b`` for columns ``(n, columns)``."""
        if self.on_cpu:
            x, _ = scipy.linalg.lapack.dpotrs(self.upper, b.numpy(), lower=0)
            return torch.from_numpy(np.ascontiguousarray(x))
        return torch.cholesky_solve(b, self.lower)


def toeplitz_view(lags: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Return the matrix ``[i, k] = lags[i - k + taps - 1]`` without a copy."""
    (step,) = lags.strides
    start = lags[taps - 1 :]
    return np.lib.stride_tricks.as_strided(start, (taps, taps), (step, -step), writeable=False)


def fast_length(n: int) -> int:
    """Return the least length from `n` on that has no prime factor above 5."""
    return int(scipy.fft.next_fast_len(n, real=True))


def correlations(a: Tensor, others: Sequence[Tensor], taps: int) -> Tensor:
    """Return ``sum_t a[t] b[t + lag]`` for every pair of rows and lags of up to ``taps - 1``.

    A block of a meets the same stretch of b and ``taps - 1`` samples on each side; the products of
    their transforms are summed over blocks, and one inverse transform a pair gives all lags.

    Parameters
    ----------
    a, others
        ``(row, samples)`` each; the rows of `others` together are b.
    taps
        One more than the largest lag.

    Returns
    -------
    Tensor
        ``(row of a, row of b, 2 taps - 1)``: lags from ``1 - taps`` on.
    """
    reach, n_samples = taps - 1, a.shape[-1]
    n_fft = max(BLOCK, fast_length(4 * taps))
    length = n_fft - 2 * reach
    n_b = sum(map(len, others))
    step = length * max(1, STEP // ((len(a) + n_b) * n_fft))
    total = torch.zeros(n_fft // 2 + 1, len(a), n_b, dtype=torch.complex128, device=a.device)
    for start in range(0, n_samples, step):
        end = start + length * -(-min(step, n_samples - start) // length)
        blocks_a = stretch(a, start, end).unfold(-1, length, length)
        b = torch.cat([stretch(other, start - reach, end + reach) for other in others])
        blocks_b = b.unfold(-1, n_fft, length)
        # (bin, row of a, block) @ (bin, block, row of b)
        one = torch.fft.rfft(blocks_a, n_fft).permute(2, 0, 1)
        two = torch.fft.rfft(blocks_b, n_fft).permute(2, 1, 0)
        total += one.contiguous().conj_physical_() @ two.contiguous()
    lags: Tensor = torch.fft.irfft(total.permute(1, 2, 0), n_fft)
    return lags[..., : 2 * reach + 1]


def stretch(rows: Tensor, start: int, end: int) -> Tensor:
    """Return the samples from `start` to `end` as float64, zeros beyond either end of the rows."""
    n = rows.shape[-1]
    inside = rows[:, max(start, 0) : min(end, n)].double()
    return torch.nn.functional.pad(inside, (max(-start, 0), max(end - n, 0)))
