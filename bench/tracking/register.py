"""A trained row's model, registered under a name of the team's own."""

from __future__ import annotations

import logging

from bench.errors import BenchError
from bench.store.workspace import Workspace
from bench.tracking import default_store
from bench.tracking.address import first_line, store_client, store_error, without_secret
from bench.tracking.content import runs_of_kind
from bench.tracking.model import NAME


def register_model(workspace: Workspace, experiment: str, row: str, seed: int, name: str) -> str:
    """Register the model that a row's run logged, and return its address.

    Parameters
    ----------
    workspace
        The working directory.
    experiment, row, seed
        Name of the experiment, label of the row and seed of the training.
    name
        Name of the registered model. Each call adds a version.

    Returns
    -------
    str
        ``models:/NAME/VERSION``, and in brackets the address of the model in its run.

    Raises
    ------
    BenchError
        The store cannot be used, has no such run, or refuses the name; or the run has no model.
    """
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    uri = default_store.ready_uri(workspace)
    try:
        client = store_client(uri)
        stored = client.get_experiment_by_name(experiment)
        runs = [] if stored is None else runs_of_kind(client, stored.experiment_id, "cell")
        seeds = (str(seed), "none")  # a method that does not draw has no seed
        of_row = [
            run
            for run in runs
            if run.data.tags.get("row") == row and run.data.tags.get("seed") in seeds
        ]
        if not of_row:
            raise BenchError(
                f"{without_secret(uri)} has no run of row {row!r}, seed {seed}, of experiment "
                f"{experiment!r}; bench report {experiment} lists the rows, and bench track "
                f"{experiment} records what is missing"
            )
        outputs = of_row[0].outputs
        models = outputs.model_outputs if outputs else []
        if not models:
            raise BenchError(
                f"row {row!r} has no model in the store: its method is not trained, or its run was "
                "recorded without the training, as that of a cell taken from a report"
            )
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        run_id, model_id = of_row[0].info.run_id, models[0].model_id
        source = f"models:/{model_id}"
        version = client.create_model_version(name, source, run_id=run_id, model_id=model_id)
    except BenchError:
        raise
    except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
        if isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE":
            raise BenchError(
                f"--as: MLflow refuses the name {name!r} ({first_line(error)}); choose another"
            ) from None
        raise store_error(uri, error) from None
    return f"models:/{name}/{version.version} (also runs:/{run_id}/{NAME})"
