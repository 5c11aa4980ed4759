"""MLflow: what people look at. The only module that imports it.

The cells' folders are the truth; a `Tracker` mirrors them: a parent run an experiment, a child
run a cell. It reads curves from the folder while a cell runs, so a worker needs no MLflow, and
what was recorded is noted in the folder, so that nothing is recorded twice.

By default the store is ``mlflow.db`` (SQLite) in the working directory, artifacts beside it in
``mlartifacts``; ``MLFLOW_TRACKING_URI`` names any other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench import provenance
from bench.errors import BenchError
from bench.runner.plan import Cell
from bench.runner.results import Results
from bench.runner.store import CellFolder, locked, read_json, write_text
from bench.scoring.aggregate import over_tracks

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away must not hold up the work: it is told again by the next run.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"


def default_uri(workspace: Path) -> str:
    """Return the tracking URI: ``MLFLOW_TRACKING_URI``, or SQLite in `workspace`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(workspace / DATABASE).resolve()}"


def without_secret(uri: str) -> str:
    """Return a URI without the user and password in it, fit to be shown and kept."""
    return re.sub(r"//[^/@]*@", "//", uri)


def store_name() -> str:
    """Return the name of the store in notes: the default one moves with the workspace."""
    return without_secret(os.environ.get("MLFLOW_TRACKING_URI") or DATABASE)


def address(experiment: str) -> str:
    """Return the name under which a cell's folder notes where it is recorded."""
    return f"{experiment} @ {store_name()}"


def store_note(workspace: Path) -> Path:
    """Return the file that says which store was last met at each address."""
    return workspace / "runs" / "mlflow.json"


def is_recorded(folder: CellFolder, workspace: Path, experiment: str) -> bool:
    """Tell whether a cell's folder says that it is recorded whole.

    A SQLite file that is gone has recorded nothing.
    """
    uri = default_uri(workspace)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return False
    notes = read_json(folder.path / "mlflow.json") or {}
    note = notes.get(address(experiment), {})
    met = (read_json(store_note(workspace)) or {}).get(store_name())
    return bool(note.get("store") == met and is_current(note, folder.cell))


def is_current(note: dict[str, Any], cell: Cell) -> bool:
    """Tell whether a note says that a cell is recorded with all its scores and its row."""
    return bool(note.get("recorded") == score_keys(cell) and note.get("row") == cell.row)


def score_keys(cell: Cell) -> list[str]:
    """Return the names of all scores of a cell."""
    return sorted(map(cell.score_key, cell.protocols))


class Tracker:
    """Mirrors the cells of an experiment into MLflow.

    Parameters
    ----------
    results
        The experiment and its cells' folders.
    workspace
        The working directory.

    Attributes
    ----------
    trouble
        Empty, or one line on a store that stopped answering. What it missed is recorded by the
        next run of the experiment, from the folders.

    Raises
    ------
    BenchError
        The tracking store cannot be reached at the start.
    """

    def __init__(self, results: Results, workspace: Path) -> None:
        from mlflow import MlflowClient

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        self.results = results
        self.uri = default_uri(workspace)
        self.name = results.experiment.name
        self.address = address(self.name)
        self.trouble = ""
        self.runs: dict[Path, str] = {}
        self.sent: dict[Path, int] = {}
        try:
            with locked(workspace / "runs" / "mlflow.lock"):  # one process makes the tables
                self.client = MlflowClient(tracking_uri=self.uri)
                self.store = self._identity(workspace)
                self.experiment_id = self._experiment(workspace)
                self.parent_id = self._parent()
        except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
            raise BenchError(
                f"MLflow cannot be used at {without_secret(self.uri)}: {first_line(error)}; "
                "nothing was run"
            ) from None

    def _identity(self, workspace: Path) -> str:
        """Return what tells this store from another that was at its address, and note it."""
        made = self.client.get_experiment("0").creation_time
        path = store_note(workspace)
        met = read_json(path) or {}
        write_text(path, json_text({**met, store_name(): f"made {made}"}))
        return f"made {made}"

    def _experiment(self, workspace: Path) -> str:
        found = self.client.get_experiment_by_name(self.name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        artifacts = (workspace / ARTIFACTS).resolve().as_uri()
        local = artifacts if self.uri.startswith("sqlite:") else None
        # The UI shows an experiment of this kind as training runs, not as traces of agents.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(self.client.create_experiment(self.name, local, tags))

    def _parent(self) -> str:
        query = "tags.`bench.kind` = 'experiment'"
        found = self.client.search_runs([self.experiment_id], query, max_results=1)
        experiment = self.results.experiment
        tags = {
            "bench.kind": "experiment",
            "dataset": experiment.dataset,
            "mlflow.note.content": f"{experiment.title}\n\n{experiment.why}",
        }
        if not found:
            run = self.client.create_run(self.experiment_id, run_name=self.name, tags=tags)
            return str(run.info.run_id)
        run_id = str(found[0].info.run_id)
        self.client.update_run(run_id, status="RUNNING")
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value)
        return run_id

    def _note(self, folder: CellFolder) -> dict[str, Any]:
        notes = read_json(folder.path / "mlflow.json") or {}
        note: dict[str, Any] = notes.get(self.address, {})
        # A store that was emptied, and made again under the same address, knows nothing of it.
        return note if note.get("store") == self.store else {}

    def _write_note(self, folder: CellFolder, note: dict[str, Any]) -> None:
        notes = read_json(folder.path / "mlflow.json") or {}
        notes[self.address] = {**note, "store": self.store}
        write_text(folder.path / "mlflow.json", json_text(notes))

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Note that the store does not answer, and let the work go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
            self.trouble = (
                f"MLflow at {without_secret(self.uri)} does not take what it is sent "
                f"({first_line(error)}); nothing is lost, and the same command records the rest "
                "when it is back"
            )

    def _run(self, folder: CellFolder) -> str:
        """Return the run of a cell, made if there is none yet."""
        if folder.path in self.runs:
            return self.runs[folder.path]
        run_id = self._note(folder).get("run_id")
        cell = folder.cell
        if run_id:
            self.client.update_run(run_id, status="RUNNING", name=cell.name)
            self.client.set_tag(run_id, "row", cell.row)
            self.runs[folder.path] = str(run_id)
            return str(run_id)
        tags = cell_tags(cell) | {"mlflow.parentRunId": self.parent_id}
        run = self.client.create_run(self.experiment_id, run_name=cell.name, tags=tags)
        self._log_inputs(run.info.run_id, cell)
        for name, value in {"method": cell.method, **cell.hyperparameters}.items():
            self.client.log_param(run.info.run_id, name, value)
        if cell.seed is not None:
            self.client.log_param(run.info.run_id, "seed", cell.seed)
        self.runs[folder.path] = str(run.info.run_id)
        self.sent[folder.path] = 0
        self._write_note(folder, {"run_id": run.info.run_id})
        return str(run.info.run_id)

    def _log_inputs(self, run_id: str, cell: Cell) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=f"{cell.dataset}-{split}",
                    digest=digest[:32],
                    source_type="local",
                    source=json_text({"dataset": cell.dataset, "split": split, "sha256": digest}),
                ),
                [InputTag("mlflow.data.context", split)],
            )
            for split, digest in cell.digests.items()
        ]
        self.client.log_inputs(run_id, inputs)

    def follow(self, folder: CellFolder) -> None:
        """Send what the curves of a running cell have gained."""
        with self._forgiving(), locked(folder.path / "mlflow.lock"):
            self._send_curves(folder)

    def _send_curves(self, folder: CellFolder) -> None:
        from mlflow.entities import Metric

        lines = folder.curves()
        run_id = self._run(folder)
        sent = self.sent.setdefault(folder.path, int(self._note(folder).get("sent", 0)))
        new = [line for line in lines if line["step"] > sent]
        if not new:
            return
        metrics = [
            Metric(key, value, int(line["time"] * 1000), line["step"])
            for line in new
            for key, value in line["values"].items()
            if math.isfinite(value)
        ]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run_id, metrics=metrics[start : start + 1000])
        self.sent[folder.path] = new[-1]["step"]
        self._write_note(folder, {"run_id": run_id, "sent": new[-1]["step"]})

    def finish(self, folder: CellFolder) -> None:
        """Record a finished or failed cell whole, unless that was done before."""
        with self._forgiving(), locked(folder.path / "mlflow.lock"):
            self._record(folder)

    def _record(self, folder: CellFolder) -> None:
        if folder.is_done() and is_current(self._note(folder), folder.cell):
            return
        run_id = self._run(folder)
        self._send_curves(folder)
        if not folder.is_done():
            self.client.set_tag(run_id, "error", folder.error() or "not finished")
            self.client.set_terminated(run_id, "FAILED")
            return
        for name in folder.cell.protocols:
            scores = folder.scores(name)
            if scores is not None:
                self._log_scores(run_id, name, scores, folder.score_facts(name))
        self.client.set_terminated(run_id, "FINISHED")
        sent = self.sent.get(folder.path, 0)
        note = {
            "run_id": run_id,
            "sent": sent,
            "recorded": score_keys(folder.cell),
            "row": folder.cell.row,
        }
        self._write_note(folder, note)

    def _log_scores(
        self, run_id: str, protocol: str, scores: pd.DataFrame, facts: dict[str, Any]
    ) -> None:
        several = len(self.results.experiment.protocols) > 1
        prefix = f"{protocol}/" if several else ""
        for row in over_tracks(scores).to_dict("records"):
            key = f"{prefix}{row['target']}/{row['metric']}"
            if math.isfinite(row["value"]):
                self.client.log_metric(run_id, key, row["value"])
            if row["n_undefined"]:
                self.client.log_metric(run_id, f"{key}_undefined", row["n_undefined"])
            if row["n_infinite"]:
                self.client.log_metric(run_id, f"{key}_infinite", row["n_infinite"])
        times = {
            "time/fit_s": facts.get("fit", {}).get("fit_s"),
            "time/separate_s": facts["separate_s"],
        }
        if facts["separate_s"] is not None:
            factor = facts["separate_s"] / max(facts["audio_s"], 1e-9)
            times["time/real_time_factor"] = factor
        for key, value in times.items():
            if value is not None:
                self.client.log_metric(run_id, key, value)
        self.client.log_metric(run_id, "n_tracks", facts["n_tracks"])
        self.client.set_tag(run_id, "commit", facts["provenance"]["commit"])
        self.client.log_dict(run_id, facts["provenance"], "provenance.json")
        table = scores.astype({"value": "float64"}).replace([math.inf, -math.inf], math.nan)
        self.client.log_table(run_id, table, f"scores/{protocol}.json")

    def interrupt(self) -> None:
        """Mark what was running as killed; the next run takes it up."""
        with self._forgiving():
            for path, run_id in self.runs.items():
                if not any(f.path == path and f.is_done() for f in self.results.folders):
                    self.client.set_terminated(run_id, "KILLED")
            self.client.set_terminated(self.parent_id, "KILLED")

    def close(self, failed: int, report: Path) -> None:
        """End the parent run and put the report's files beside it."""
        with self._forgiving():
            self.client.log_artifacts(self.parent_id, str(report), "report")
            self.client.set_terminated(self.parent_id, "FAILED" if failed else "FINISHED")


def cell_tags(cell: Cell) -> dict[str, str]:
    """Return what teams filter by, on every child run."""
    tags = {
        "bench.kind": "cell",
        "row": cell.row,
        "method": cell.method,
        "group": cell.group,
        "dataset": cell.dataset,
        "split_digest": cell.digests["test"],
        "seed": "none" if cell.seed is None else str(cell.seed),
        "protocol": ", ".join(cell.protocols),
        "commit": provenance.commit(),
        "fingerprint": cell.fingerprint,
    }
    return tags


def unrecorded(results: Results, workspace: Path) -> Sequence[CellFolder]:
    """Return the finished cells whose folders do not say that they are recorded."""
    name = results.experiment.name
    return [f for f in results.folders if f.is_done() and not is_recorded(f, workspace, name)]


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, without a secret."""
    lines = str(error).splitlines() or [type(error).__name__]
    return without_secret(lines[0])


def json_text(value: Any) -> str:
    """Return canonical JSON."""
    return json.dumps(value, sort_keys=True)
