"""Masks: the share of each time-frequency bin that belongs to each target; shares sum to one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Magnitudes = Mapping[str, NDArray[np.floating]]
Masks = dict[str, NDArray[np.float64]]


def soft(magnitudes: Magnitudes, power: float = 1.0) -> Masks:
    """Return shares in proportion to the magnitudes raised to `power`.

    ``M_i = |S_i|^p / sum_j |S_j|^p``: p = 1 is the ratio mask, p = 2 the Wiener-like one. A bin
    in which every magnitude is zero is shared equally.

    Parameters
    ----------
    magnitudes
        For each target a non-negative array, all of one shape ``(channels, bins, frames)``.
    power
        Exponent, above 0.

    Returns
    -------
    dict
        For each target its share in [0, 1], float64.

    Examples
    --------
    >>> soft({"a": np.array([3.0, 0.0]), "b": np.array([1.0, 0.0])})["a"]
    array([0.75, 0.5 ])
    """
    stack = np.stack([np.asarray(m, dtype=np.float64) for m in magnitudes.values()])
    peak = stack.max(axis=0)
    stack /= np.where(peak > 0, peak, 1.0)  # ratios alone matter: no overflow, no underflow
    stack[:, peak == 0] = 1.0
    stack **= power
    stack /= stack.sum(axis=0)
    return dict(zip(magnitudes, stack, strict=True))


def binary(magnitudes: Magnitudes) -> Masks:
    """Give each bin whole to the target of the largest magnitude, a tie to the first.

    Parameters
    ----------
    magnitudes
        For each target a non-negative array, all of one shape ``(channels, bins, frames)``.

    Returns
    -------
    dict
        For each target 0 or 1, float64.

    Examples
    --------
    >>> binary({"a": np.array([3.0, 0.0]), "b": np.array([1.0, 2.0])})["b"]
    array([0., 1.])
    """
    winner = np.argmax(np.stack([np.asarray(m) for m in magnitudes.values()]), axis=0)
    return {name: (winner == i).astype(np.float64) for i, name in enumerate(magnitudes)}


def share(magnitude: NDArray[np.floating], mixture: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return an estimated magnitude as a share of the mixture's, 0 where that is silent.

    Such shares need not add up to one: this is an estimate that no mask has put right.

    Parameters
    ----------
    magnitude, mixture
        Non-negative, of one shape.

    Examples
    --------
    >>> share(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    array([1.5, 0. ])
    """
    shares = np.zeros(mixture.shape)
    np.divide(magnitude, mixture, out=shares, where=mixture > 0)
    return shares
