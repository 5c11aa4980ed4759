"""Where a cell stands: planned, running, done or failed, as its folder says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.store.cell_folder import CellFolder
from bench.store.claim import holder
from bench.store.trained import training_folder

DAMAGED = "its scores are damaged and are computed again"


@dataclass(frozen=True)
class CellStatus:
    """Where a cell stands.

    Attributes
    ----------
    state
        ``planned`` also of a cell that was begun by a process that is dead.
    why
        What is there of it, in words.
    """

    state: Literal["planned", "running", "done", "failed"]
    why: str


def cell_status(folder: CellFolder) -> CellStatus:
    """Return where a cell stands."""
    if folder.is_done():
        return CellStatus("done", "its scores are there")
    by, state = holder(folder.path), folder.state()
    if by is not None:
        where = f"process {by.get('pid', '?')} on {by.get('host', 'an unknown host')}"
        return CellStatus("running", f"{progress(state) or 'begun'}, {where}")
    if state.get("stage") == "failed":
        return CellStatus("failed", str(state["error"]))
    if folder.is_damaged():
        return CellStatus("planned", DAMAGED)
    if folder.cell.learns and training_folder(folder).is_fitted():
        return CellStatus("planned", "trained, but not scored")
    if progress(state):
        return CellStatus("planned", f"stopped at {progress(state)}")
    return CellStatus("planned", "never finished" if state else "never begun")


def progress(state: Mapping[str, Any]) -> str:
    """Return stage, steps done and time left of a cell that was begun; empty for any other."""
    if "total" not in state:
        return ""
    return f"{state['stage']} {state['done']}/{state['total']}{time_left(state)}"


def time_left(state: Mapping[str, Any]) -> str:
    """Return how long a stage will take yet at its speed so far, as the end of a sentence."""
    done = state["done"] - state["from"]
    if done <= 0:
        return ""
    rest = (state["time"] - state["since"]) / done * (state["total"] - state["done"])
    return f", about {duration(rest)} left"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> duration(3.4), duration(200), duration(9000)
    ('3 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
