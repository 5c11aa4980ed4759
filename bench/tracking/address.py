"""The address of the MLflow store, and what ``runs/`` notes of its content.

By default the store is ``mlflow.db`` (SQLite) in the working directory, with its artifacts beside
it in ``mlartifacts``. ``MLFLOW_TRACKING_URI`` names any other store.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.store.cell_folder import CellFolder
from bench.store.files import read_json
from bench.store.manifest import Manifest
from bench.store.results import Outcome, Results
from bench.store.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away must not delay the work: the next run sends again what it missed.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

#: Kinds of databases to which MLflow connects over a network.
_DATABASES = ("postgresql", "mysql", "mssql")
#: Parts of the names of those parameters of a URI that hold a user, a password or a key.
_CREDENTIAL = re.compile("user|pass|pwd|secret|token|key|credential", re.IGNORECASE)


def default_uri(workspace: Workspace) -> str:
    """Return the tracking URI: ``MLFLOW_TRACKING_URI``, or SQLite in `workspace`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.database.resolve()}"


def is_server(uri: str) -> bool:
    """Return whether a store is a server of MLflow, rather than a database or a folder."""
    return uri.startswith(("http://", "https://"))


def is_missing_file(uri: str) -> bool:
    """Return whether a store is a SQLite file that is not there."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file()


def without_secret(uri: str) -> str:
    """Return a URI without its user, password and keys, fit for messages and files.

    Databases accept passwords with ``/`` and ``?`` in them, so everything up to the last ``@`` is
    left out, wherever that is.

    Examples
    --------
    >>> without_secret("postgresql://bench:s3/cret@db.example.org/mlflow")
    'postgresql://db.example.org/mlflow'
    >>> without_secret("postgresql://db.example.org/mlflow?password=secret&sslmode=require")
    'postgresql://db.example.org/mlflow?password=***&sslmode=require'
    """
    scheme, separator, rest = uri.partition("://")
    if not rest.startswith("/"):  # else there is no host, and an @ belongs to a path
        rest = rest.rpartition("@")[2]

    def masked(parameter: re.Match[str]) -> str:
        name = urllib.parse.unquote(parameter["name"])
        return f"{parameter['start']}***" if _CREDENTIAL.search(name) else parameter[0]

    rest = re.sub(r"(?P<start>[?&](?P<name>[^?&=/]+)=)[^&]*", masked, rest)
    return scheme + separator + rest


def store_client(uri: str) -> MlflowClient:
    """Return a client of the store at a URI.

    MLflow and the driver of a database raise errors of many types where the store is away;
    `store_error` makes one of them.
    """
    from mlflow import MlflowClient

    if uri.partition("://")[0].partition("+")[0] in _DATABASES:
        from mlflow.store.db.utils import create_sqlalchemy_engine

        # MLflow itself tries for 100 seconds to connect to a database that is away.
        engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call] # it has no types
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def store_error(uri: str, error: Exception) -> BenchError:
    """Return the error of a store that cannot be reached or used, from what MLflow raised."""
    return BenchError(
        f"MLflow cannot be used at {without_secret(uri)} ({first_line(error)}); see that the store "
        "can be reached and written, or name another one in MLFLOW_TRACKING_URI"
    )


def store_name() -> str:
    """Return the name of the store in notes, which is its URI without secrets.

    The default store is named by its file alone, since it moves with the working directory.
    """
    return without_secret(os.environ.get("MLFLOW_TRACKING_URI") or Workspace().database.name)


def note_key(experiment: str) -> str:
    """Return the key of the notes about an experiment in the present store."""
    return f"{experiment} @ {store_name()}"


def is_recorded(note: dict[str, Any], folder: CellFolder, outcome: Outcome) -> bool:
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
    """Return those finished and failed cells of which no note says that they are recorded whole.

    Where the store was a SQLite file that is gone, these are all of them.
    """
    ended = [
        (CellFolder(workspace.runs, outcome.cell), outcome)
        for outcome in results.outcomes
        if outcome.status != "missing"
    ]
    uri = default_uri(workspace)
    if is_missing_file(uri):
        return [folder for folder, _ in ended]
    store = (read_json(workspace.store_notes) or {}).get(store_name())
    key = note_key(results.experiment.name)
    missed = []
    for folder, outcome in ended:
        note = (read_json(folder.path / "mlflow.json") or {}).get(key, {})
        if note.get("store") != store or not is_recorded(note, folder, outcome):
            missed.append(folder)
    return missed


def are_rows_recorded(manifest: Manifest, workspace: Workspace) -> bool:
    """Return whether a note says that the store holds the rows that an experiment has now."""
    notes = read_json(workspace.store_notes) or {}
    note = rows_note(manifest, str(notes.get(store_name())))
    return bool(notes.get(note_key(manifest.experiment.name)) == note)


def rows_note(manifest: Manifest, store: str) -> dict[str, str]:
    """Return the note that the rows of an experiment are recorded.

    Parameters
    ----------
    manifest
        The experiment and its cells.
    store
        Identifier of the store.
    """
    cells = [[cell.row, cell.fingerprint] for cell in manifest.cells]
    text = json_text([manifest.experiment.model_dump(), cells])
    return {"store": store, "rows": hashlib.sha256(text.encode()).hexdigest()}


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, without secrets.

    Examples
    --------
    >>> first_line(ValueError("cannot open postgresql://bench:s3cret@db: no host 'cret@db'"))
    "cannot open postgresql://db: no host 'db'"
    """
    lines = str(error).splitlines() or [type(error).__name__]
    line = re.sub(r"[\w+.-]+://\S*", lambda uri: without_secret(uri[0]), lines[0])
    # The part of a password behind its first @ is taken for the beginning of the host's name.
    return re.sub(r"(?<![\w/])[^\s'\"/]+@", "", line)


def json_text(value: Any) -> str:
    """Return canonical JSON."""
    return json.dumps(value, sort_keys=True)
