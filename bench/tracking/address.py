"""Which MLflow store is meant, and what the cells' folders say that it holds.

By default the store is ``mlflow.db`` (SQLite) in the working directory, artifacts beside it in
``mlartifacts``; ``MLFLOW_TRACKING_URI`` names any other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.plan.cells import Cell
from bench.store.cell_folder import CellFolder
from bench.store.files import read_json
from bench.store.results import Outcome, Results
from bench.store.workspace import Workspace

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away must not delay the work: the next run sends again what it missed.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def default_uri(workspace: Workspace) -> str:
    """Return the tracking URI: ``MLFLOW_TRACKING_URI``, or SQLite in `workspace`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.database.resolve()}"


def without_secret(uri: str) -> str:
    """Return a URI without the user and password in it, fit for messages and files."""
    return re.sub(r"//[^/@]*@", "//", uri)


def store_name() -> str:
    """Return the name of the store in notes: the default one moves with the workspace."""
    return without_secret(os.environ.get("MLFLOW_TRACKING_URI") or Workspace().database.name)


def address(experiment: str) -> str:
    """Return the name under which a cell's folder notes where it is recorded."""
    return f"{experiment} @ {store_name()}"


def is_current(note: dict[str, Any], folder: CellFolder, outcome: Outcome) -> bool:
    """Tell whether a note says that a cell is recorded with its present outcome."""
    return recorded_as(folder, outcome).items() <= note.items()


def recorded_as(folder: CellFolder, outcome: Outcome) -> dict[str, Any]:
    """Return what a note says of a cell that is recorded: its row, and its scores or failure."""
    if outcome.status == "done":
        return {"row": folder.cell.row, "recorded": score_keys(folder.cell)}
    return {"row": folder.cell.row, "failed": folder.state().get("time")}


def score_keys(cell: Cell) -> list[str]:
    """Return the names of all scores of a cell."""
    return sorted(map(cell.score_key, cell.protocols))


def unrecorded(results: Results, workspace: Workspace) -> Sequence[CellFolder]:
    """Return the finished and failed cells whose folders do not say that they are recorded whole.

    A SQLite file that is gone has recorded nothing.
    """
    ended = [
        (CellFolder(workspace.runs, outcome.cell), outcome)
        for outcome in results.outcomes
        if outcome.status != "missing"
    ]
    uri = default_uri(workspace)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return [folder for folder, _ in ended]
    store = (read_json(workspace.stores_met) or {}).get(store_name())
    key = address(results.experiment.name)
    missed = []
    for folder, outcome in ended:
        note = (read_json(folder.path / "mlflow.json") or {}).get(key, {})
        if note.get("store") != store or not is_current(note, folder, outcome):
            missed.append(folder)
    return missed


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without a secret."""
    lines = str(error).splitlines() or [type(error).__name__]
    return without_secret(lines[0])


def json_text(value: Any) -> str:
    """Return canonical JSON."""
    return json.dumps(value, sort_keys=True)
