"""The network of the trained robust NMF, and the schedule of its learning rate.

See `baselines.networks.rnmf` for the idea and the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Steps of the solver that are unrolled.
LAYERS = 10


class Unrolled(nn.Module):
    """The network: steps of the solver, each with matrices and thresholds of its own.

    Parameters
    ----------
    w
        Dictionary of the solver that it starts at, ``(bins, atoms)``.
    ridge, weight
        Weights of the solver's cost.
    """

    def __init__(self, w: Tensor, ridge: float, weight: float) -> None:
        super().__init__()
        n_bins, atoms = w.shape
        step = 1.0 / (float(torch.linalg.matrix_norm(w, 2)) ** 2 + ridge)
        self.synthesis = nn.Parameter(w.repeat(LAYERS + 1, 1, 1))
        self.analysis = nn.Parameter((step * w.T).repeat(LAYERS, 1, 1))
        self.memory = nn.Parameter(((1 - step * ridge) * torch.eye(atoms)).repeat(LAYERS, 1, 1))
        self.threshold = nn.Parameter(torch.full((LAYERS + 1, n_bins), float(weight)))

    def forward(self, x: Tensor) -> Tensor:
        """Map magnitudes ``(..., bins)`` to both parts ``(..., targets, bins)``, voice first."""
        h = x.new_zeros(*x.shape[:-1], self.memory.shape[-1])
        for layer in range(LAYERS):
            rest = x - h @ self.synthesis[layer].T
            o = torch.relu(rest - self.threshold[layer])
            h = torch.relu(h @ self.memory[layer].T + (rest - o) @ self.analysis[layer].T)
        accompaniment = torch.relu(h @ self.synthesis[LAYERS].T)
        voice = torch.relu(x - accompaniment - self.threshold[LAYERS])
        return torch.stack([voice, accompaniment], dim=-2)


class EpochCosine(torch.optim.lr_scheduler.LRScheduler):
    """Learning rate that falls to 0 along half a cosine and is constant within an epoch.

    Parameters
    ----------
    optimizer
        The optimiser, with the rate of the first epoch.
    epochs
        Epochs of the training.
    n_steps
        Steps of an epoch.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, epochs: int, n_steps: int) -> None:
        self.n_steps = n_steps
        self.rates = _cosine_rates(optimizer.param_groups[0]["lr"], epochs)
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of the coming step, for each group of parameters."""
        epoch = min(self.last_epoch // self.n_steps, len(self.rates) - 1)
        return [self.rates[epoch]] * len(self.optimizer.param_groups)


def _cosine_rates(learning_rate: float, epochs: int) -> list[float]:
    """Return the rate of each epoch by PyTorch's own schedule, and that after the last one."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    rates = [learning_rate]
    for _ in range(epochs):
        optimizer.step()
        schedule.step()
        rates.append(float(optimizer.param_groups[0]["lr"]))
    return rates
