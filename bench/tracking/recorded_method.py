"""Methods loaded from an MLflow store: that of a run of a cell, or the one inside a model."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from bench.errors import BenchError
from bench.methods import registry
from bench.methods.saved import load_saved
from bench.methods.separator import Separator
from bench.store.trained import cell_folder_at, load_method
from bench.store.workspace import Workspace
from bench.tracking import default_store
from bench.tracking.address import first_line, store_client, store_error, without_secret

#: Codes of MLflow's errors about a name or id that a store does not know, or that can be none.
_UNKNOWN, _INVALID = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"


def method_of_run(run_id: str, workspace: Workspace) -> Separator:
    """Return the method of an MLflow run of a cell.

    The method is read from the cell's folder in ``runs/``, or where that is gone, from the model
    that the run logged.

    Parameters
    ----------
    run_id
        Id of the run, or ``ID/ARTIFACT`` for a model among its artifacts.
    workspace
        The working directory.

    Raises
    ------
    BenchError
        The store cannot be used, or it has no such run; or the run is none of a cell, or has no
        method.
    """
    from mlflow.exceptions import MlflowException

    uri = default_store.ready_uri(workspace)
    run_id, _, artifact = run_id.partition("/")
    try:
        run = store_client(uri).get_run(run_id)
    except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
        if isinstance(error, MlflowException) and error.error_code in (_UNKNOWN, _INVALID):
            raise BenchError(
                f"no run {run_id!r} at {without_secret(uri)}; bench ui shows the runs and their ids"
            ) from None
        raise store_error(uri, error) from None
    fingerprint = run.data.tags.get("fingerprint", "")
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
        raise BenchError(f"run {run_id} is no cell: it trained no method")
    cell_path = workspace.runs / fingerprint[:32]
    if artifact or not (cell_path / "cell.json").is_file():
        return _method_of_tags(run, artifact, workspace)
    try:
        return load_method(cell_folder_at(cell_path))
    except BenchError:
        return _method_of_tags(run, artifact, workspace)


def _method_of_tags(run: Any, artifact: str, workspace: Workspace) -> Separator:
    """Return the method of a run from what MLflow alone knows: its model, or its parameters."""
    cls = registry.find_method(run.data.tags.get("method", ""))
    if registry.learns(cls):
        return download_method(f"runs:/{run.info.run_id}/{artifact or 'model'}", workspace)
    fields = registry.fields(cls)
    values = {k: yaml.safe_load(v) for k, v in run.data.params.items() if k in fields}
    return registry.make(cls, values, f"run {run.info.run_id}")


def download_method(uri: str, workspace: Workspace) -> Separator:
    """Return the method inside an MLflow model, wherever its artifacts lie.

    Parameters
    ----------
    uri
        ``models:/NAME/VERSION``, ``models:/ID`` or ``runs:/ID/ARTIFACT``.
    workspace
        The working directory.

    Raises
    ------
    BenchError
        The store cannot be used or has no such model, or the model holds no method of this suite.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    tracking_uri = default_store.ready_uri(workspace)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            store_client(tracking_uri)  # raises at once where a database is away
            mlflow.artifacts.download_artifacts(uri, dst_path=scratch, tracking_uri=tracking_uri)
        except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
            reason = first_line(error)
            if isinstance(error, MlflowException) and error.error_code == _UNKNOWN:
                raise BenchError(
                    f"no model at {uri} ({reason}); bench ui shows the models"
                ) from None
            raise BenchError(
                f"{uri} cannot be read from MLflow at {without_secret(tracking_uri)} ({reason}); "
                "see that the store can be reached and holds the model"
            ) from None
        saved = sorted(Path(scratch).rglob("separator.json"))
        if len(saved) != 1:
            raise BenchError(f"{uri} holds {len(saved)} methods, not one: no separator.json")
        return load_saved(saved[0].parent)
