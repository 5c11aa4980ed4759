"""Signals of any level, brought to one whose squares float64 can hold: no score depends on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.errors import BenchError

#: Between these peaks, squares and their sums over any track are within float64.
QUIETEST, LOUDEST = 1e-100, 1e100


def peaks_of(signals: Tensor) -> Tensor:
    """Return the largest magnitude of each target, ``(target,)``."""
    peaks: Tensor = torch.linalg.vector_norm(signals, torch.inf, (-1, -2))
    return peaks


def exponent_of(peaks: Tensor) -> int:
    """Return the power of two that brings the highest peak near 1; 0 where no peak is extreme."""
    peak = float(peaks.max())
    return 0 if peak == 0 or QUIETEST <= peak <= LOUDEST else -math.frexp(peak)[1]


def times_power_of_two(signals: Tensor, exponent: int) -> Tensor:
    """Return signals times ``2^exponent``, exactly; the signals themselves where it is 0."""
    if exponent == 0:
        return signals
    half = exponent // 2  # the whole power may be beyond float64
    return signals.double() * 2.0**half * 2.0 ** (exponent - half)


def check_range(peaks: Tensor, what: str) -> None:
    """Refuse signals whose squares float64 cannot hold beside each other."""
    audible = peaks[peaks > 0]
    if bool((audible < QUIETEST).any()) or bool((audible > LOUDEST).any()):
        raise BenchError(f"{what} differ in level by more than 2,000 dB; scale them alike")
