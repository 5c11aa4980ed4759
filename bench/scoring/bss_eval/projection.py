"""Projections onto delayed signals: correlations summed over blocks, and a factor of their Gram.

The Gram matrix G of signals delayed by 0 to ``taps - 1`` samples holds their correlations, and
``b' G^-1 b`` is the energy of the projection of a signal whose products with them are b.
Correlations are summed in the frequency domain over short blocks, so memory does not grow with the
signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.scoring.bss_eval import toeplitz

#: Length of the transforms over which correlations are summed, in samples.
BLOCK = 1 << 12
#: Blocks that are transformed at a time: few enough that memory, and with few rows the processor's
#: cache, is used again.
BLOCKS = 8
#: Relative error of its product up to which a factor by `toeplitz` is taken; songs have < 7e-14.
EXACT = 1e-13


class Factor:
    """A Cholesky factor ``G = C C'`` of the Gram matrix of delayed signals.

    Rows and columns of G go by delay, then by signal: so it is block Toeplitz, and on the CPU it
    is factored as such, without being made. A product with a probe checks the result; where it is
    not exact enough (signals that nearly depend on each other), and on a GPU, the whole matrix is
    made and factored. Where they do depend on each other (silent or equal channels, tracks shorter
    than the filters), the least multiple of the identity that lets the matrix be factored is
    added: it moves no projection by more than its share of the energy.

    Parameters
    ----------
    lags
        Correlations ``(row, row, taps)`` as `correlations` gives them.

    Raises
    ------
    BenchError
        The matrix cannot be factored.
    """

    def __init__(self, lags: Tensor) -> None:
        self.n_rows, self.taps = lags.shape[1:]
        self.on_cpu = lags.device.type == "cpu"
        self.n_fft = fast_length(2 * self.taps)
        #: C: in LAPACK's order of axes on the CPU, a tensor on a GPU.
        self.lower: Any
        half = torch.fft.rfft(lags, self.n_fft)
        #: Transforms of the correlations at all lags, ``(bin, row, row)``.
        self.spectra = (half + half.transpose(0, 1).conj() - lags[..., :1]).permute(2, 0, 1)
        if self.on_cpu and self._factored_as_toeplitz(lags):
            return
        scale = float(lags[..., 0].diagonal().max()) or 1.0
        for share in (0.0, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10):
            if self._factored(gram(lags), share * scale):
                return
        raise BenchError("the references are too alike to be told apart by delays")

    def _factored_as_toeplitz(self, lags: Tensor) -> bool:
        """Factor by the first row of blocks; tell whether the product of the factors is G."""
        upper = toeplitz.cholesky(lags.permute(1, 2, 0).flatten(1).numpy())
        if upper is None:
            return False
        self.lower = upper.T
        probe = np.random.default_rng(0).standard_normal(len(upper))
        product = scipy.linalg.blas.dtrmv(self.lower, probe, lower=1, trans=1)
        product = scipy.linalg.blas.dtrmv(self.lower, product, lower=1, overwrite_x=1)
        true = self.product(torch.from_numpy(probe)).numpy()
        return bool(np.linalg.norm(product - true) < EXACT * np.linalg.norm(true))

    def _factored(self, full: Tensor, load: float) -> bool:
        """Factor the matrix with `load` added to its diagonal; tell whether that went well."""
        full.diagonal().add_(load)
        if self.on_cpu:  # symmetric, so its axes may change places
            self.lower, info = scipy.linalg.lapack.dpotrf(
                full.numpy().T, lower=1, clean=0, overwrite_a=1
            )
            return bool(info == 0)
        self.lower, trouble = torch.linalg.cholesky_ex(full)
        return not bool(trouble.any())

    def product(self, x: Tensor) -> Tensor:
        """Return ``G x`` for columns ``(n, ...)``, in the frequency domain."""
        hat = torch.fft.rfft(x.reshape(self.taps, self.n_rows, -1), self.n_fft, dim=0)
        whole: Tensor = torch.fft.irfft(self.spectra @ hat, self.n_fft, dim=0)
        return whole[: self.taps].reshape(x.shape)

    def solve(self, b: Tensor) -> Tensor:
        """Return ``G^-1 b`` for columns ``(n, columns)``."""
        if self.on_cpu:
            # In two passes, as dpotrs has no fast way for one column.
            y, _ = scipy.linalg.lapack.dtrtrs(self.lower, b.numpy(), lower=1)
            x, _ = scipy.linalg.lapack.dtrtrs(self.lower, y, lower=1, trans=1, overwrite_b=1)
            return torch.from_numpy(x).contiguous()
        solved: Tensor = torch.cholesky_solve(b, self.lower)
        return solved

    def pivots(self) -> Tensor:
        """Return what each delayed signal adds to those before it, as an energy, ``(n,)``."""
        diagonal = self.lower.diagonal()
        return torch.as_tensor(np.array(diagonal) if self.on_cpu else diagonal).square()

    def energy(self, b: Tensor) -> Tensor:
        """Return ``b' G^-1 b``, the energy of a projection, summed over columns ``(n, columns)``.

        As ``x'(2 b - G x)`` with ``x = G^-1 b``, in which an error of x counts by its square.
        """
        x = self.solve(b)
        return (x * (2 * b - self.product(x))).sum()


def gram(lags: Tensor) -> Tensor:
    """Return the Gram matrix ``(taps * row, taps * row)`` of correlations ``(row, row, taps)``."""
    n_rows, taps = lags.shape[1:]
    before = lags.transpose(0, 1)[..., 1:].flip(-1)
    # For each row the blocks of all lags, the largest first: block row i begins i blocks earlier.
    line = torch.cat([before, lags], dim=-1).flip(-1).transpose(1, 2).flatten(1)
    windows = line.unfold(-1, taps * n_rows, n_rows).transpose(0, 1)
    back = torch.arange(taps - 1, -1, -1, device=lags.device)
    return windows[back].reshape(taps * n_rows, taps * n_rows)


def fast_length(n: int) -> int:
    """Return the least length from `n` on that has no prime factor above 5."""
    return int(scipy.fft.next_fast_len(n, real=True))


def correlations(a: Tensor, others: Sequence[Tensor], taps: int) -> Tensor:
    """Return ``sum_t a[t] b[t + lag]`` for every pair of rows and lags of 0 to ``taps - 1``.

    A block of a meets the same stretch of b and the ``taps - 1`` samples after it; the products of
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
        ``(row of a, row of b, taps)``.
    """
    reach, n_samples = taps - 1, a.shape[-1]
    n_fft = max(BLOCK, fast_length(4 * taps))
    length = n_fft - reach
    shape = n_fft // 2 + 1, len(a), sum(map(len, others))
    total = torch.zeros(shape, dtype=torch.complex128, device=a.device)
    for start in range(0, n_samples, BLOCKS * length):
        end = start + length * min(BLOCKS, -(-(n_samples - start) // length))
        blocks_a = _stretch(a, start, end).unfold(-1, length, length)
        b = torch.cat([_stretch(other, start, end + reach) for other in others])
        blocks_b = b.unfold(-1, n_fft, length)
        # (bin, row of a, block) @ (bin, block, row of b)
        one = torch.fft.rfft(blocks_a, n_fft).permute(2, 0, 1)
        two = torch.fft.rfft(blocks_b, n_fft).permute(2, 1, 0)
        total += one.contiguous().conj_physical_() @ two.contiguous()
    lags: Tensor = torch.fft.irfft(total.permute(1, 2, 0), n_fft)
    return lags[..., :taps]


def _stretch(rows: Tensor, start: int, end: int) -> Tensor:
    """Return the samples from `start` to `end` as float64, zeros beyond the end of the rows."""
    inside = rows[:, start:end].double()
    return torch.nn.functional.pad(inside, (0, end - start - inside.shape[-1]))
