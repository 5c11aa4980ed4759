"""The precision of a training's products: what was asked for, and what the processor is good at.

bfloat16 products are several times as fast as float32 ones where the processor or GPU has
instructions for them, and more than ten times slower where it has not.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16"]
UsedPrecision = Literal["float32", "bfloat16"]

#: x86 and ARM flags, as `torch.cpu.get_capabilities` names them, of instructions for bfloat16
#: products.
_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
#: Seconds that each precision is measured for, where the processor cannot say.
_MEASURED_S = 0.01
#: Side of the square matrices of that measurement.
_SIDE = 256


def used_precision(precision: Precision, device: str) -> UsedPrecision:
    """Return the precision that a training uses.

    Parameters
    ----------
    precision
        As asked for; ``auto``: bfloat16 where `device` has instructions for it, else float32.
    device
        ``cpu`` or ``cuda``.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if _has_bfloat16(device) else "float32"


@functools.cache
def _has_bfloat16(device: str) -> bool:
    """Return whether a device multiplies bfloat16 matrices faster than float32 ones."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = _capabilities()
    if any(flag in capabilities for flag in _FLAGS):
        return any(bool(capabilities.get(flag)) for flag in _FLAGS)
    return _product_s(torch.bfloat16) < _product_s(torch.float32)


def _capabilities() -> dict[str, object]:
    """Return the processor's flags by name; nothing where PyTorch is too old to ask."""
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)  # since PyTorch 2.11
    return dict(ask()) if ask is not None else {}


def _product_s(dtype: torch.dtype) -> float:
    """Return the seconds of the fastest of the products measured in `_MEASURED_S`."""
    import torch

    matrix = torch.ones(_SIDE, _SIDE, dtype=dtype)
    fastest, begin = float("inf"), time.perf_counter()
    while True:
        start = time.perf_counter()
        matrix @ matrix
        end = time.perf_counter()
        fastest = min(fastest, end - start)
        if end - begin > _MEASURED_S:
            return fastest
