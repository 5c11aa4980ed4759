"""The SQLite file that is the store where no other is named: made whole, set aside when broken.

MLflow makes its tables in some forty steps. A process that is killed among them leaves a file that
no MLflow opens again, so the tables are made in a file of another name, which is then renamed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from bench.store.files import locked
from bench.store.workspace import Workspace

#: What SQLite calls a file that is no database, or a damaged one.
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
#: Files that SQLite keeps beside a database.
_BESIDE = ("", "-journal", "-wal", "-shm")


def make(path: Path) -> None:
    """Make an empty store, which appears whole or not at all."""
    from mlflow import MlflowClient

    new = path.with_name(f"{path.name}.new")
    _remove(new)
    MlflowClient(tracking_uri=f"sqlite:///{new.resolve()}")
    new.replace(path)
    _remove(new)


def set_aside_if_broken(workspace: Workspace) -> str:
    """Rename the default store where it can never be opened again.

    Returns
    -------
    str
        One line on what was done; empty where the store is sound, is another, or is not there.
    """
    path = workspace.database
    if os.environ.get("MLFLOW_TRACKING_URI") or not path.is_file():
        return ""
    with locked(workspace.store_lock):
        if not path.is_file() or not is_broken(path):
            return ""
        n = 1
        while (aside := path.with_name(f"{path.name}.broken-{n}")).exists():
            n += 1
        for ending in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{ending}").replace(f"{aside}{ending}")
    return (
        f"{path} is no store that MLflow can open: it is now {aside.name}, and a new one is filled "
        "from the cells' folders"
    )


def is_broken(path: Path) -> bool:
    """Tell whether a SQLite file is damaged, or holds the tables of a store that was never made.

    A store that is whole has at least MLflow's default experiment. One that is in use, or of
    another version of MLflow, is not broken.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            names = [str(row[0]) for row in database.execute("SELECT name FROM sqlite_master")]
            if not names:
                return False
            if "experiments" not in names or "alembic_version" not in names:
                return True
            if any(name.startswith("_alembic_tmp_") for name in names):
                return True
            return database.execute("SELECT 1 FROM experiments").fetchone() is None
    except sqlite3.DatabaseError as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _remove(path: Path) -> None:
    """Remove a database and the files beside it, where they are there."""
    for ending in _BESIDE:
        Path(f"{path}{ending}").unlink(missing_ok=True)
