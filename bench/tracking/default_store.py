"""The default store, a SQLite file: it is made whole or not at all, and set aside when broken.

MLflow makes its tables in some forty steps. A process that is killed among them leaves a file that
no MLflow opens again, so the tables are made in a file of another name, which is then renamed.

MLflow writes the full path of each run's artifacts into its tables. In a working directory that was
copied or moved these paths are those of the old place; they are changed before the store is used.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from bench.errors import BenchError
from bench.store.files import locked
from bench.store.workspace import Workspace
from bench.tracking.address import default_uri, is_missing_file, without_secret

#: Codes of SQLite's errors about a file that is no database, or a damaged one.
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
#: Codes of SQLite's errors about a database that another process holds.
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
#: Files that SQLite keeps beside a database.
_BESIDE = ("", "-journal", "-wal", "-shm")
#: Tables and columns of MLflow that hold the location of artifacts.
_ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def is_in_use(workspace: Workspace) -> bool:
    """Tell whether the store of a workspace is its own SQLite file."""
    return default_uri(workspace) == f"sqlite:///{workspace.database.resolve()}"


def ready_uri(workspace: Workspace) -> str:
    """Return the URI of the store. The default store is made ready to be read.

    Raises
    ------
    BenchError
        The store is a SQLite file that is missing, which MLflow would make, or that cannot be used.
    """
    uri = default_uri(workspace)
    if is_missing_file(uri):
        raise BenchError(
            f"no MLflow store here ({without_secret(uri)}); run an experiment first: bench run FILE"
        )
    follow_move(workspace)
    return uri


def make_store(path: Path) -> None:
    """Make an empty store, which appears whole or not at all."""
    from mlflow import MlflowClient

    new = path.with_name(f"{path.name}.new")
    _remove(new)
    MlflowClient(tracking_uri=f"sqlite:///{new.resolve()}")
    new.replace(path)
    _remove(new)


def set_aside_if_broken(workspace: Workspace) -> str:
    """Rename the default store if MLflow can never open it again.

    Returns
    -------
    str
        One line on what was done. It is empty where the default store is sound, is missing, or is
        not the one that is used.
    """
    path = workspace.database
    if not is_in_use(workspace) or not path.is_file():
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
    """Tell whether a SQLite file is damaged, or holds a store that was not made to the end.

    A whole store has at least MLflow's default experiment. A store that is in use, or that another
    version of MLflow made, is not broken.
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


def follow_move(workspace: Workspace) -> None:
    """Let the store of a copied or moved workspace find its artifacts beside it.

    Nothing of the old place is read or written. Places of artifacts that are not beside the store
    stay as they are.

    Raises
    ------
    BenchError
        The store is broken, cannot be written, or is held by another process for a minute.
    """
    path = workspace.database
    if not is_in_use(workspace) or not path.is_file():
        return
    if is_broken(path):
        raise BenchError(
            f"{path} is no store that MLflow can open: bench track NAME or bench run sets it aside "
            "and fills a new one"
        )
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database, database:
            _relocate_artifacts(database, workspace)
    except sqlite3.DatabaseError as error:
        is_held = getattr(error, "sqlite_errorcode", 0) & 0xFF in _HELD
        way_out = "end the process that holds it" if is_held else "see that it can be written"
        raise BenchError(f"{path} cannot be used ({error}): {way_out}, and try again") from None


def _relocate_artifacts(database: sqlite3.Connection, workspace: Workspace) -> None:
    """Change the places of artifacts in a store to those beside it."""
    home = workspace.artifacts.resolve().as_uri()
    place = re.compile(rf"(file://.*/{workspace.artifacts.name})(/(?P<first>[^/]+).*)?")
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    # Places of whole experiments; runs in them are moved also where they have no artifacts.
    old_homes = set()
    for table, column in _ARTIFACT_COLUMNS:
        if table not in tables:
            continue
        # The names are constants above, never data.
        known = database.execute(f"SELECT DISTINCT {column} FROM {table}")  # noqa: S608
        for (before,) in known.fetchall():
            match = place.fullmatch(before or "")
            if match is None or before.startswith(f"{home}/") or before == home:
                continue
            if not match["first"]:
                old_homes.add(before)
            elif match[1] not in old_homes and not (workspace.artifacts / match["first"]).exists():
                continue
            now = home + (match[2] or "")
            change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608
            database.execute(change, (now, before))


def _remove(path: Path) -> None:
    """Remove a database and the files beside it, where they are there."""
    for ending in _BESIDE:
        Path(f"{path}{ending}").unlink(missing_ok=True)
