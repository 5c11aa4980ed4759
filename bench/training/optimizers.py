"""The optimisers: Adam with a rise and a fall of its rate, and the authors' L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import nn

#: Share of Adam's steps over which the learning rate rises.
_WARM_UP = 0.05

#: Past steps that L-BFGS remembers, and evaluations that one line search may take.
_MEMORY, _LINE_SEARCH = 50, 25

#: An optimiser, and the schedule of its rate, which is advanced after each step.
Scheduled: TypeAlias = "tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]"


def adam(parameters: Iterable[nn.Parameter], learning_rate: float, n_steps: int) -> Scheduled:
    """Return Adam, its rate rising over 5 % of the steps and then falling along half a cosine.

    The rise matters: inputs and hidden units of a rectified network are all positive, so the first
    steps of Adam push every weight of a unit the same way. At a full rate they silence units and
    drive a recurrent layer to grow without bound, and epochs are lost before it recovers.

    Parameters
    ----------
    parameters
        Weights of the network.
    learning_rate
        Peak learning rate.
    n_steps
        Steps of the whole training.
    """
    import torch

    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    rise = max(1.0, _WARM_UP * n_steps)

    def factor(step: int) -> float:
        fall = 0.5 * (1 + math.cos(math.pi * min(step / n_steps, 1.0)))
        return min((step + 1) / rise, 1.0) * fall

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def lbfgs(parameters: Iterable[nn.Parameter]) -> torch.optim.LBFGS:
    """Return L-BFGS as the authors set it, one iteration a step."""
    import torch

    return torch.optim.LBFGS(
        parameters,
        lr=1.0,
        max_iter=1,
        max_eval=_LINE_SEARCH + 1,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        history_size=_MEMORY,
        line_search_fn="strong_wolfe",
    )
