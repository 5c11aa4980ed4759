"""Projections onto delayed signals that nearly depend on each other: by the signals themselves.

Where one reference is another one but for a millionth, the Gram matrix of the delayed references
holds the square of the difference, of which float64 leaves rounding. The signals still tell it.
So they are made unlike first, at lag 0, which keeps the space of their delayed copies; and the
filters are refined by what is left of the estimate when its projection is subtracted, until
nothing changes.

References
----------
Bjorck: Stability analysis of the method of seminormal equations for linear least squares problems,
Linear Algebra and its Applications 88/89, 1987 (the correction by the residual of the signals).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.scoring.bss_eval.projection import Factor, correlations, fast_length

#: Share of a signal's energy that the others leave at lag 0, below which it nearly depends on them.
NEAR = 1e-7
#: Pivots of the Gram matrix of all references are at least this share of those of one alone, or
#: the references nearly depend on each other at some lags; songs have more than 0.5.
NEAR_BY_DELAYS = 1e-10
#: Amplitude, as a share of the signal's, that is rounding: a signal with no more left is dependent.
ROUNDING = 1e-14
#: A refinement ends when it moves the projection by less than this share of the estimate's energy,
#: 160 dB down, and fails after so many steps.
SETTLED, N_STEPS = 1e-16, 30


def is_near(rows: Tensor, lags: Tensor) -> bool:
    """Tell whether signals nearly depend on each other at lag 0.

    Equal signals, such as the channels of a voice in mono, depend on each other and are not near:
    the second of them adds nothing, to the last bit.

    Parameters
    ----------
    rows
        The signals, ``(row, samples)``.
    lags
        Their correlations, ``(row, row, taps)``.
    """
    audible = lags[..., 0].diagonal() > 0
    at_zero = lags[audible][:, audible, 0]
    if len(at_zero) < 2:
        return False
    root = at_zero.diagonal().rsqrt()
    lower, trouble = torch.linalg.cholesky_ex(root[:, None] * at_zero * root)
    if not bool(trouble.any()) and bool((lower.diagonal().square() >= NEAR).all()):
        return False
    *_, shares = unlike(rows[audible])  # energies cannot tell 1e-8 from nothing, signals can
    return bool(((shares > ROUNDING) & (shares < NEAR**0.5)).any())


def unlike(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return signals of unit energy that are orthogonal at lag 0, and how they are made.

    Parameters
    ----------
    rows
        ``(row, samples)``.

    Returns
    -------
    tuple
        Signals ``(row, samples)``, zeros where a row depends on those before it; the matrix
        ``(row, row)`` that makes them of `rows`; and the amplitude of what each row adds to those
        before it, as a share of its own, ``(row,)``.
    """
    rows = rows.double()
    mixing = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    unlike_rows = rows.clone()
    shares = torch.zeros(len(rows), dtype=rows.dtype, device=rows.device)
    for k, row in enumerate(rows):
        norm = torch.linalg.vector_norm(row)
        for _ in range(3):  # what rounding leaves of a product is taken away in the next round
            along = unlike_rows[:k] @ unlike_rows[k]
            unlike_rows[k] -= along @ unlike_rows[:k]
            mixing[k] -= along @ mixing[:k]
        left = torch.linalg.vector_norm(unlike_rows[k])
        shares[k] = left / norm if norm > 0 else 0.0
        scale = 1 / left if shares[k] > ROUNDING else torch.zeros_like(left)
        unlike_rows[k] *= scale
        mixing[k] *= scale
    return unlike_rows, mixing, shares


class DependentSignals:
    """The delayed copies of signals that may nearly depend on each other.

    Parameters
    ----------
    rows
        ``(row, samples)``.
    taps
        Number of delays, 0 included.
    """

    def __init__(self, rows: Tensor, taps: int) -> None:
        self.taps = taps
        self.rows, self.mixing, _ = unlike(rows)
        self.factor = Factor(correlations(self.rows, [self.rows], taps))

    def project(self, estimates: Tensor) -> tuple[Tensor, Tensor]:
        """Project estimates.

        Parameters
        ----------
        estimates
            ``(channel, samples)``.

        Returns
        -------
        tuple
            The projections ``(channel, samples + taps - 1)``, and their filters for the signals as
            they were given, ``(tap, row, channel)``.

        Raises
        ------
        BenchError
            The signals are too alike for the filters to settle.
        """
        whole = torch.nn.functional.pad(estimates.double(), (0, self.taps - 1))
        limit = SETTLED * whole.square().sum()
        filters = whole.new_zeros(self.taps, len(self.rows), len(whole))
        projection = torch.zeros_like(whole)
        for _ in range(N_STEPS):
            lags = correlations(self.rows, [whole - projection], self.taps)
            step = self.factor.solve(lags.permute(2, 0, 1).flatten(0, 1).contiguous())
            step = step.reshape(filters.shape)
            filters += step
            moved = self._filtered(step)
            projection += moved
            if moved.square().sum() <= limit:
                return projection, torch.einsum("trc,rk->tkc", filters, self.mixing)
        raise BenchError(
            "the references nearly depend on each other: no filters of theirs can be found in "
            "float64; leave out the one that is a copy of another"
        )

    def _filtered(self, filters: Tensor) -> Tensor:
        """Return the sum of the signals through filters ``(tap, row, channel)``."""
        n_samples = self.rows.shape[1] + self.taps - 1
        n_fft = fast_length(n_samples)
        total = sum(
            torch.fft.rfft(row, n_fft)[:, None] * torch.fft.rfft(filters[:, i], n_fft, dim=0)
            for i, row in enumerate(self.rows)
        )
        filtered: Tensor = torch.fft.irfft(total, n_fft, dim=0)[:n_samples].T
        return filtered
