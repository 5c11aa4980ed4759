"""What the network is trained for: fit to its own target, less gamma times fit to the other.

    J = D(s_1, r_1) + D(s_2, r_2) - gamma (D(s_1, r_2) + D(s_2, r_1))

with D, summed over frames and bins: half the squared error or the generalised Kullback-Leibler
divergence (TASLP eq. 8-11; ISMIR eq. 6-7), or the absolute error. gamma above 0 punishes an
estimate that resembles the other source, which lowers interference at the price of more artifacts.

The references r are magnitudes of the sources, or what of them is in phase with the mixture
(`phase_sensitive`): a mask keeps the mixture's phase, so the magnitude that comes nearest to a
source is smaller than the source's own wherever the phases differ.

References
----------
Erdogan, Hershey, Watanabe, Le Roux: Phase-sensitive and recognition-boosted speech separation using
deep recurrent neural networks, ICASSP 2015, section 3.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Objective = Literal["squared_error", "absolute_error", "kl"]
Reference = Literal["magnitude", "phase_sensitive"]

#: Keeps the KL divergence and its gradient finite at 0; the value of the authors' code, whose
#: sources have norm 1.
KL_CONSTANT = 1e-3

#: Keeps the quotient of a silent bin finite.
TINY = 1e-12

#: Level (root mean square of the spectrogram) of a mixture of sources of norm 1, a clip of 8 s.
UNIT_NORM_LEVEL = 0.09


def squared_error(estimate: Tensor, reference: Tensor) -> Tensor:
    """Return ``1/2 sum (estimate - reference)^2`` of magnitudes of one shape, a scalar."""
    from torch.nn.functional import mse_loss

    return 0.5 * mse_loss(estimate, reference, reduction="sum")


def absolute_error(estimate: Tensor, reference: Tensor) -> Tensor:
    """Return ``sum |estimate - reference|`` of magnitudes of one shape, a scalar."""
    from torch.nn.functional import l1_loss

    return l1_loss(estimate, reference, reduction="sum")


def kl(estimate: Tensor, reference: Tensor, constant: float = KL_CONSTANT) -> Tensor:
    """Return ``sum r log(r / (s + c) + 1e-3) - r + s + c``, as the authors do with c = 1e-3.

    Parameters
    ----------
    estimate, reference
        Magnitudes of one shape.
    constant
        c, above 0. With c in proportion to the level of the signals, the divergence is too, so that
        signals of every level are treated as the authors treat theirs.
    """
    shifted = estimate + constant
    return (reference * (reference / shifted + KL_CONSTANT).log() - reference + shifted).sum()


def divergence_of(objective: Objective, level: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the divergence of an objective.

    Parameters
    ----------
    objective
        Its name.
    level
        Root mean square of the mixtures' spectrograms. The constant of `kl` is in proportion to it.
    """
    if objective == "kl":
        return functools.partial(kl, constant=KL_CONSTANT * (level / UNIT_NORM_LEVEL))
    return squared_error if objective == "squared_error" else absolute_error


def phase_sensitive(sources: Tensor, mixture: Tensor) -> Tensor:
    """Return what of each source is in phase with the mixture, from 0 to the mixture's magnitude.

    The results of two sources that add up to the mixture add up to its magnitude, as the estimates
    of a masking layer do.

    Parameters
    ----------
    sources
        Complex spectrograms, ``(sources, ...)``.
    mixture
        Complex spectrogram of one source's shape.

    Returns
    -------
    Tensor
        Real, of the shape of `sources`.
    """
    magnitude = mixture.abs()
    in_phase = (sources * mixture.conj()).real / magnitude.clamp(min=TINY)
    return in_phase.clamp(min=0).minimum(magnitude)


def discriminative(
    estimates: Tensor,
    references: Tensor,
    gamma: float,
    objective: Objective = "squared_error",
    level: float = UNIT_NORM_LEVEL,
) -> Tensor:
    """Return J, a sum over everything.

    Parameters
    ----------
    estimates, references
        Magnitudes ``(..., targets, bins)``: the references of two targets, and estimates of
        both or of the first alone, whose terms then stand alone.
    gamma
        Weight of the discriminative term, at least 0.
    objective
        Name of the divergence D.
    level
        Root mean square of the mixtures' spectrograms. The constant of `kl` is in proportion to it.

    Returns
    -------
    Tensor
        A scalar.
    """
    divergence = divergence_of(objective, level)
    n = estimates.shape[-2]
    own = divergence(estimates, references[..., :n, :])
    if not gamma:
        return own
    return own - gamma * divergence(estimates, references.flip(-2)[..., :n, :])
