"""The masking layer: outputs of a network become shares of the mixture, inside the training.

    s_i = m(y_i) / (m(y_1) + m(y_2) + eps) * x

with y_i the raw output for target i, x the magnitude of the mixture, and m the absolute value, the
square or the identity. The layer has no parameters and gradients pass through it, so the network
learns the mask that it is judged by (TASLP eq. 3-6). Without it, ``s_i = y_i`` in training, and
``|y_i|`` in separation.

References
----------
Huang, Kim, Hasegawa-Johnson, Smaragdis: Joint Optimization of Masks and Deep Recurrent Neural
Networks for Monaural Source Separation, IEEE/ACM TASLP 23(12), 2015, section III-B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

MaskFunction = Literal["abs", "square", "linear", "none"]

#: Keeps the masking layer defined where every output is 0; the value of the authors' code.
EPSILON = 1e-10


def masked(y: Tensor, x: Tensor, function: MaskFunction, epsilon: float = EPSILON) -> Tensor:
    """Return the estimated magnitudes that raw outputs give.

    Parameters
    ----------
    y
        Raw outputs, ``(..., outputs, bins)``.
    x
        Magnitudes of the mixture, ``(..., bins)``.
    function
        The masking layer's function m; ``none``: there is no such layer.
    epsilon
        Constant in the denominator, above 0.

    Returns
    -------
    Tensor
        ``(..., outputs, bins)``; without a masking layer, `y` itself.
    """
    if function == "none":
        return y
    if function == "abs":
        y = y.abs()
    elif function == "square":
        y = y.square()
    return y / (y.sum(dim=-2, keepdim=True) + epsilon) * x.unsqueeze(-2)
