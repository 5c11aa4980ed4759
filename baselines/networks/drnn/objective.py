"""What the network is trained for: fit to its own target, less gamma times fit to the other.

    J = D(s_1, r_1) + D(s_2, r_2) - gamma (D(s_1, r_2) + D(s_2, r_1))

with D half the squared error or the generalised Kullback-Leibler divergence, summed over frames
and bins (TASLP eq. 7-9; ISMIR eq. 6-7). gamma above 0 punishes an estimate that resembles the
other source: less interference for more artifacts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn.functional import mse_loss

Objective = Literal["squared_error", "kl"]

#: Keeps the KL divergence and its gradient finite at 0; the value of the authors' code.
KL_CONSTANT = 1e-3


def squared_error(estimate: Tensor, reference: Tensor) -> Tensor:
    """Return ``1/2 sum (estimate - reference)^2``."""
    return 0.5 * mse_loss(estimate, reference, reduction="sum")


def kl(estimate: Tensor, reference: Tensor) -> Tensor:
    """Return ``sum r log(r / (s + c) + c) - r + s + c``, c = `KL_CONSTANT`, as the authors do."""
    shifted = estimate + KL_CONSTANT
    return (reference * (reference / shifted + KL_CONSTANT).log() - reference + shifted).sum()


DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_error": squared_error,
    "kl": kl,
}


def discriminative(
    estimates: Tensor, references: Tensor, gamma: float, objective: Objective = "squared_error"
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
        Which divergence D.

    Returns
    -------
    Tensor
        A scalar.
    """
    divergence = DIVERGENCES[objective]
    n = estimates.shape[-2]
    own = divergence(estimates, references[..., :n, :])
    if not gamma:
        return own
    return own - gamma * divergence(estimates, references.flip(-2)[..., :n, :])
