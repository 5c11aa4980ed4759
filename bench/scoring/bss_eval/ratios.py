"""From energies to decibels: which ratio is undefined, which infinite, and what is rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Energies below this share of the signals' are float64 noise (130 dB down) and count as 0.
FLOOR = 1e-13


@dataclass(frozen=True)
class Scores:
    """Ratios in dB, ``(..., target)``, version 4 ``(..., target, window)``.

    Infinite where the error is 0, NaN where a ratio is undefined: a silent reference, or a signal
    and an error that are both 0. ISR is NaN in version 3, which has none.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]


def source_scores(e: Tensor, target: Tensor, interference: Tensor, audible: Tensor) -> Scores:
    """Return the ratios of version 3.

    Parameters
    ----------
    e, target, interference
        Energies of the estimate and of two of its parts, ``(target,)``; artifacts are the rest.
    audible
        Whether the reference is not silent, ``(target,)``.
    """
    interference = torch.where(interference > FLOOR * e, interference, 0.0)
    artifacts = e - target - interference
    artifacts = torch.where(artifacts > FLOOR * e, artifacts, 0.0)
    heard = audible & (e > 0)
    sdr = _ratio_db(target, interference + artifacts, heard)
    sir = _ratio_db(target, interference, heard)
    sar = _ratio_db(target + interference, artifacts, heard)
    return Scores(sdr, np.full_like(sdr, np.nan), sir, sar)


def image_scores(energies: Tensor) -> Scores:
    """Return the ratios of version 4 from what `windows.energies` gives."""
    s, error, spatial, interference, artifacts, p, q, e = energies
    noise = FLOOR * (s + e)
    spatial, interference, artifacts = (
        torch.where(part > noise, part, 0.0) for part in (spatial, interference, artifacts)
    )
    heard = s > 0
    return Scores(
        _ratio_db(s, error, heard),
        _ratio_db(s, spatial, heard),
        _ratio_db(p, interference, heard),
        _ratio_db(q, artifacts, heard),
    )


def _ratio_db(signal: Tensor, error: Tensor, defined: Tensor) -> NDArray[np.float64]:
    """Return ``10 log10(signal / error)``; NaN where it is not defined, or 0 over 0."""
    ratio = 10 * torch.log10(signal / error)
    decibels: NDArray[np.float64] = torch.where(defined, ratio, torch.nan).cpu().numpy()
    return decibels
