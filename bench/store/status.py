"""The status of a cell in a running or interrupted sweep: planned, running, done or failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.store.cell_folder import CellFolder
from bench.store.claim import holder
from bench.store.trained import training_folder

if TYPE_CHECKING:
    from bench.store.results import Outcome


@dataclass(frozen=True)
class CellStatus:
    """The status of a cell, with what its folder holds of it.

    Attributes
    ----------
    state
        ``planned`` also for a cell whose process died before it ended.
    why
        What the folder holds, in words; for a failed cell the error.
    is_damaged
        Whether the cell is planned because its finished scores differ from what was written.
    """

    state: Literal["planned", "running", "done", "failed"]
    why: str
    is_damaged: bool = False


def cell_status(folder: CellFolder, outcome: Outcome | None = None) -> CellStatus:
    """Return the status of a cell.

    Parameters
    ----------
    folder
        The folder of the cell.
    outcome
        Its outcome, where that was just read from the folder. Without it, the files of scores are
        compared with their SHA-256, but not parsed.
    """
    if folder.is_done() if outcome is None else outcome.status == "done":
        return CellStatus("done", "its scores are there")
    by, state = holder(folder.path), folder.state()
    if by is None and folder.is_done():  # it has ended since
        return CellStatus("done", "its scores are there")
    if by is not None:
        where = f"process {by.get('pid', '?')} on {by.get('host', 'an unknown host')}"
        return CellStatus("running", f"{progress_text(state) or 'begun'}, {where}")
    if state.get("stage") == "failed":
        return CellStatus("failed", state.get("error", ""))
    if folder.is_damaged():
        why = "its scores are damaged and are computed again"
        return CellStatus("planned", why, is_damaged=True)
    if folder.cell.learns and training_folder(folder).is_fitted():
        return CellStatus("planned", "trained, but not scored")
    if progress_text(state):
        return CellStatus("planned", f"stopped at {progress_text(state)}")
    return CellStatus("planned", "never finished" if state else "never begun")


def progress_text(state: Mapping[str, Any]) -> str:
    """Return stage, steps done and time left of a cell's ``state.json``; empty if it has none."""
    if "total" not in state:
        return ""
    if not state["total"]:
        return f"{state['stage']} begun"
    count = f"{state['stage']} {state['done']}/{state['total']}"
    unit, text = state.get("unit", ""), state.get("text", "")
    return f"{count} {unit}{', ' if text else ''}{text}".rstrip() + time_left_text(state)


def time_left_text(state: Mapping[str, Any]) -> str:
    """Return the expected time until a stage ends, as the end of a sentence."""
    done = state["done"] - state["from"]
    if done <= 0:
        return ""
    rest = (state["time"] - state["since"]) / done * (state["total"] - state["done"])
    return f", about {duration_text(rest)} left"


def duration_text(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, as text.

    Examples
    --------
    >>> duration_text(3.4), duration_text(200), duration_text(9000)
    ('3 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
