"""A trained method as an MLflow model: audio in, stems out.

The folder of a model holds what `Separator.save` wrote, in ``data/separator``: weights
as safetensors and hyperparameters as JSON, no pickle. MLflow loads it by this module's name.

Examples
--------
>>> import mlflow, numpy as np  # doctest: +SKIP
>>> model = mlflow.pyfunc.load_model("runs:/RUN/model")  # doctest: +SKIP
>>> stems = model.predict(np.zeros((1, 16_000)), params={"rate": 16_000})  # doctest: +SKIP
>>> stems["vocals"].shape  # doctest: +SKIP
(1, 16000)
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import provenance
from bench.errors import BenchError
from bench.methods.saved import load_saved
from bench.methods.song import SongSeparator
from bench.store.cell_folder import CellFolder
from bench.store.trained import load_method
from bench.track import TARGETS, Audio

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

#: The model's name on its run, and the folder of the saved method in it.
NAME, FOLDER = "model", "separator"


@dataclass(frozen=True)
class StemModel:
    """The model that MLflow calls: a trained method for music of any rate and length.

    Attributes
    ----------
    method
        The method, which resamples and works in chunks as `bench.load` does.
    """

    method: SongSeparator

    def predict(self, audio: Audio, params: Mapping[str, Any] | None = None) -> dict[str, Audio]:
        """Return a stem for each target.

        Parameters
        ----------
        audio
            Mixture ``(channels, samples)``, of any length.
        params
            ``rate``: sampling rate of the audio in hertz, any; the one at which the method was
            trained unless given.

        Raises
        ------
        BenchError
            No rate is given and the method has none of its own, or the audio is empty or not
            finite.
        """
        rate = int((params or {}).get("rate") or 0) or self.method.rate
        if rate is None:
            raise BenchError("give the sampling rate of the audio: params={'rate': 16000}")
        return self.method.separate(audio, rate)


def _load_pyfunc(path: str) -> StemModel:
    """Return the model in a folder; MLflow looks for a function of this name."""
    return StemModel(SongSeparator(load_saved(Path(path)), "the model"))


def signature() -> ModelSignature:
    """Return the model's signature: an array and a rate in, an array for each target out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    sound = np.dtype(np.float64), (-1, -1)
    return ModelSignature(
        inputs=Schema([TensorSpec(*sound)]),
        outputs=Schema([TensorSpec(*sound, name=target) for target in TARGETS]),
        params=ParamSchema([ParamSpec("rate", "long", 0)]),  # 0: the rate it was trained for
    )


def log_model(
    client: MlflowClient, run_id: str, folder: CellFolder, metrics: Mapping[str, float]
) -> None:
    """Log the trained method of a cell as a model of its run.

    The model separates with the cell's own values of `Separator.AFTER_TRAINING`.

    ``runs:/<run>/model`` and ``models:/<id>`` name it. A run that has its model keeps it. A model
    that could not be logged whole is marked as failed, and the next call logs another.

    Parameters
    ----------
    client, run_id
        Client of the store, and id of the cell's run.
    folder
        Folder of the cell.
    metrics
        Scores of the cell on the test split by their names in MLflow.
    """
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.models import Model

    run = client.get_run(run_id)
    if run.outputs and run.outputs.model_outputs:
        return
    cell = folder.cell
    versions = provenance.versions()
    needs = [f"{name}=={versions[name]}" for name in ("torch", "numpy", "scipy")]
    # MLflow warns of its own type hints, and of an input example that the signature replaces. The
    # filter stays: filters belong to all threads, and a training may run in another one.
    warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
    with tempfile.TemporaryDirectory() as scratch:
        from mlflow import pyfunc

        saved, model_folder = Path(scratch) / FOLDER, Path(scratch) / NAME
        load_method(folder).save(saved)
        logged = client.create_logged_model(
            run.info.experiment_id,
            name=NAME,
            source_run_id=run_id,
            tags={"row": cell.row, "method": cell.method, "fingerprint": cell.fingerprint},
            params=dict(run.data.params),
            model_type=cell.method,
        )
        now, test = int(1000 * time.time()), f"{cell.dataset}-test"
        digest = cell.digests["test"][:32]
        scores = [
            Metric(key, value, now, 0, logged.model_id, test, digest, run_id)
            for key, value in metrics.items()
        ]
        try:
            pyfunc.save_model(
                model_folder,
                loader_module=__name__,
                data_path=str(saved),
                signature=signature(),
                mlflow_model=Model(run_id=run_id, model_id=logged.model_id),
                pip_requirements=[f"singing-voice-bench=={versions['bench']}", *needs],
            )
            client.log_model_artifacts(logged.model_id, str(model_folder))
            client.log_batch(run_id, scores)
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        except BaseException:
            with contextlib.suppress(Exception):  # the store may be away
                client.finalize_logged_model(logged.model_id, "FAILED")
            raise
