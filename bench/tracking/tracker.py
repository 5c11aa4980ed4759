"""Mirrors the cells' folders into MLflow: a parent run an experiment, a child run a cell.

It reads curves from the folder while a cell runs, so a worker needs no MLflow, and what was
recorded is noted in the folder, so that nothing is recorded twice.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.runner.results import Results
from bench.runner.store import CellFolder, locked, read_json, write_text
from bench.tracking.content import cell_tags, log_inputs, log_scores
from bench.tracking.description import describe_cell, describe_experiment, shown_metrics
from bench.tracking.media import log_examples, log_pictures
from bench.tracking.model import log_model
from bench.tracking.store import (
    ARTIFACTS,
    address,
    default_uri,
    first_line,
    is_current,
    json_text,
    score_keys,
    store_name,
    store_note,
    without_secret,
)
from bench.tracking.ui import set_view


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
        # A server keeps them itself; a database alone keeps none.
        local = None if self.uri.startswith(("http://", "https://")) else artifacts
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
        log_inputs(self.client, run.info.run_id, cell)
        for name, value in {"method": cell.method, **cell.hyperparameters}.items():
            self.client.log_param(run.info.run_id, name, value)
        if cell.seed is not None:
            self.client.log_param(run.info.run_id, "seed", cell.seed)
        self.runs[folder.path] = str(run.info.run_id)
        self.sent[folder.path] = 0
        self._write_note(folder, {"run_id": run.info.run_id})
        return str(run.info.run_id)

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
        describe_cell(self.client, run_id, folder)
        several = len(self.results.experiment.protocols) > 1
        for name in folder.cell.protocols:
            prefix = f"{name}/" if several else ""
            log_scores(self.client, run_id, folder, name, prefix=prefix)
        log_pictures(self.client, run_id, folder)
        if folder.cell.learns:
            log_model(self.client, run_id, folder)
        self.client.set_terminated(run_id, "FINISHED")
        sent = self.sent.get(folder.path, 0)
        note = {
            "run_id": run_id,
            "sent": sent,
            "recorded": score_keys(folder.cell),
            "row": folder.cell.row,
        }
        self._write_note(folder, note)

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
            describe_experiment(self.client, self.parent_id, self.results, report)
            set_view(self.client, self.experiment_id, self.parent_id, shown_metrics(self.results))
            runs = {f.path: str(self._note(f).get("run_id", "")) for f in self.results.folders}
            known = {path: run_id for path, run_id in runs.items() if run_id}
            log_examples(self.client, self.results, report, known)
            self.client.set_terminated(self.parent_id, "FAILED" if failed else "FINISHED")
