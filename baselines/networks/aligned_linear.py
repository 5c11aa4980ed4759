"""A linear layer that is fast where its sizes are no multiple of a vector of the processor.

    y = x W' + b,    dW = dy' x

Matrix products in float32 on a CPU lose a third of their speed when the rows of the result do not
begin at multiples of 32 bytes, as with 1,026 outputs (two targets of 513 bins) or 1,539 inputs
(three frames of them). Here such rows are padded in memory, which changes no value.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

#: Rows of a result begin at multiples of so many values: 32 bytes in float32.
ALIGNMENT = 8


class AlignedLinear(nn.Linear):
    """`torch.nn.Linear`, to the bit, with aligned rows in its output and its weight's gradient.

    Under autocast and on a GPU it is `torch.nn.Linear` itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., in_features)`` to ``(..., out_features)``."""
        if not x.is_cpu or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        rows = x.reshape(-1, self.in_features)
        product: Any = _Product.apply
        y: Tensor = product(rows, self.weight, self.bias, x.is_contiguous())
        return y.reshape(*x.shape[:-1], self.out_features)


class _Product(torch.autograd.Function):
    """``x W' + b`` of ``(n, in)``, ``(out, in)`` and ``(out,)``.

    PyTorch begins the sums of the product with the bias if the input is contiguous, and adds it
    afterwards if not; both are done here, since they round differently.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, from_bias: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = _aligned(x, len(x), len(weight))
        if from_bias:
            return torch.addmm(bias, x, weight.t(), out=y)
        return torch.mm(x, weight.t(), out=y).add_(bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        (of_y,) = gradients
        of_x = of_y @ weight if ctx.needs_input_grad[0] else None
        of_weight = torch.mm(of_y.t(), x, out=_aligned(x, *weight.shape))
        return of_x, of_weight, of_y.sum(0), None


def _aligned(like: Tensor, n_rows: int, n_columns: int) -> Tensor:
    """Return a matrix without values, ``(n_rows, n_columns)``, whose rows are aligned."""
    padded = -(-n_columns // ALIGNMENT) * ALIGNMENT
    return like.new_empty(n_rows, padded)[:, :n_columns]
