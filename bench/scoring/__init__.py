"""How estimates are measured: one set of signals, one track by a named protocol, many tracks.

`bss_eval_sources` and `bss_eval_images` score arrays, `score_track` a track by the name of a
protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.scoring.bss_eval.api import bss_eval_images, bss_eval_sources
    from bench.scoring.protocols import score_track

__all__ = ["bss_eval_images", "bss_eval_sources", "score_track"]


def __getattr__(name: str) -> Any:
    """Return one of the functions of `__all__`, importing what it needs."""
    if name not in __all__:
        raise AttributeError(f"module 'bench.scoring' has no attribute {name!r}")
    from bench.scoring.bss_eval import api
    from bench.scoring.protocols import score_track

    return score_track if name == "score_track" else getattr(api, name)
