"""From what a user names to a method that separates songs.

A name may be a method's (``rpca``, ``package.module:Class``), a folder of weights (what
`bench.methods.separator.Separator.save` wrote, or a cell's folder in ``runs/``), an MLflow run
(``runs:/ID`` or the ID alone) or an MLflow model (``models:/…``).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from bench.errors import BenchError, nearest
from bench.methods import registry
from bench.methods.saved import load_saved
from bench.methods.separator import Separator
from bench.plan.cells import Cell
from bench.songs.separate import SongSeparator
from bench.store.cell_folder import CellFolder, read_json
from bench.store.trained import training_folder
from bench.tracking.store import default_uri, first_line, without_secret


def load(name: str, workspace: Path = Path()) -> SongSeparator:
    """Return a method ready for songs.

    Parameters
    ----------
    name
        See above.
    workspace
        The folder with ``runs/`` and ``mlflow.db``.

    Raises
    ------
    BenchError
        Nothing is known by that name, or it is not trained.
    """
    if name.startswith("models:/"):
        return SongSeparator(downloaded(name, workspace), name)
    if name.startswith("runs:/") or re.fullmatch(r"[0-9a-f]{32}", name):
        return SongSeparator(of_run(name.removeprefix("runs:/"), workspace), name)
    if Path(name).is_dir():
        return SongSeparator(of_folder(Path(name)), name)
    if name not in registry.table() and ":" not in name:
        known = nearest(name, registry.table())
        raise BenchError(
            f"no method, run (runs:/ID), model (models:/…) or folder {name!r}; {known}"
        )
    cls = registry.find(name)
    if registry.learns(cls):
        raise BenchError(
            f"{name} must be trained: name a run of it (--with runs:/ID), a model (models:/…) or "
            "the folder of its weights; `bench run` trains"
        )
    return SongSeparator(registry.make(cls, {}, name), name)


def of_folder(folder: Path) -> Separator:
    """Return the method saved in a folder, in ``fit`` below it, or that of a cell there.

    Raises
    ------
    BenchError
        The folder holds no method, or one that is damaged.
    """
    for home in (folder, folder / "fit"):
        if (home / "separator.json").is_file():
            return load_saved(home)
    if (folder / "cell.json").is_file():
        return of_cell(folder)
    raise BenchError(f"{folder} holds no method: separator.json is missing")


def of_cell(folder: Path) -> Separator:
    """Return the method of a cell by its folder in ``runs/``."""
    try:
        cell = Cell(**(read_json(folder / "cell.json") or {}))
    except TypeError:
        raise BenchError(f"{folder / 'cell.json'} is damaged") from None
    return of_known_cell(cell, folder.parent)


def of_known_cell(cell: Cell, runs: Path) -> Separator:
    """Return the method of a cell, its weights from the folder of whoever trained it."""
    cls = registry.find(cell.method)
    if not cell.learns:
        return cell.build()
    home = training_folder(CellFolder(runs, cell))
    if not home.is_fitted():
        raise BenchError(f"{cell.name} is not trained here: {home.fit_folder} is not there whole")
    return load_saved(home.fit_folder, **{k: cell.hyperparameters[k] for k in cls.AFTER_TRAINING})


def of_run(run_id: str, workspace: Path) -> Separator:
    """Return the method of an MLflow run of a cell.

    Its folder in ``runs/`` holds it; where that is gone, the model that the run logged.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = store(workspace)
    run_id, _, artifact = run_id.partition("/")
    try:
        run = MlflowClient(tracking_uri=uri).get_run(run_id)
    except MlflowException as error:
        raise BenchError(f"no run {run_id} at {without_secret(uri)}: {first_line(error)}") from None
    fingerprint = run.data.tags.get("fingerprint", "")
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
        raise BenchError(f"run {run_id} is no cell: it trained no method")
    cell_json = workspace / "runs" / fingerprint[:32] / "cell.json"
    if artifact or not cell_json.is_file():
        return of_tags(run, artifact, workspace)
    cell = Cell(**json.loads(cell_json.read_text()))
    try:
        return of_known_cell(cell, workspace / "runs")
    except BenchError:
        return of_tags(run, artifact, workspace)


def store(workspace: Path) -> str:
    """Return the URI of the MLflow store.

    Raises
    ------
    BenchError
        It is a file, and there is none: MLflow would make an empty one.
    """
    uri = default_uri(workspace)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise BenchError(f"no MLflow store here ({uri}): nothing was run in this folder")
    return uri


def of_tags(run: Any, artifact: str, workspace: Path) -> Separator:
    """Return the method of a run from what MLflow alone knows: its model, or its parameters."""
    name = run.data.tags.get("method", "")
    cls = registry.find(name)
    if registry.learns(cls):
        return downloaded(f"runs:/{run.info.run_id}/{artifact or 'model'}", workspace)
    values = {k: yaml.safe_load(v) for k, v in run.data.params.items() if k in registry.fields(cls)}
    return registry.make(cls, values, f"run {run.info.run_id}")


def downloaded(uri: str, workspace: Path) -> Separator:
    """Return the method inside an MLflow model, wherever its artifacts lie."""
    import mlflow

    tracking_uri = store(workspace)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            mlflow.artifacts.download_artifacts(uri, dst_path=scratch, tracking_uri=tracking_uri)
        except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
            raise BenchError(f"no model at {uri}: {first_line(error)}") from None
        found = sorted(Path(scratch).rglob("separator.json"))
        if len(found) != 1:
            raise BenchError(f"{uri} holds {len(found)} methods, not one: no separator.json")
        return load_saved(found[0].parent)
