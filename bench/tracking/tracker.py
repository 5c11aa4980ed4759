"""Mirrors the cells' folders into MLflow.

An experiment has a run, and below it lie the runs of its rows and cells. The curves of a running
cell are read from its folder, so that a worker needs no MLflow. What was recorded of a cell is
noted in its folder, so that nothing is recorded twice.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.store.cell_folder import CellFolder
from bench.store.files import locked, read_json, write_text
from bench.store.manifest import Manifest
from bench.store.results import read_outcome
from bench.store.trained import training_folder
from bench.store.workspace import Workspace
from bench.tracking import content, default_store
from bench.tracking.address import (
    default_uri,
    first_line,
    is_recorded,
    is_server,
    json_text,
    note_key,
    recorded_as,
    rows_note,
    store_client,
    store_error,
    store_name,
    without_secret,
)
from bench.tracking.description import NOTE, describe_experiment, table_metrics
from bench.tracking.media import log_examples, log_pictures
from bench.tracking.model import log_model
from bench.tracking.rows import log_rows
from bench.tracking.ui import set_view


class Tracker:
    """Mirrors the cells of an experiment into MLflow.

    Parameters
    ----------
    manifest
        The experiment and its cells.
    workspace
        The working directory.

    Attributes
    ----------
    trouble
        One line on a store that does not answer; empty while it does. What the store misses is
        recorded from the folders once it is back, by this run of the experiment or the next one.
    store_id
        Identifier of the store, which another store at the same URI would not have.
    is_new
        Whether this tracker has made the experiment's own run.
    missed
        Folders of the cells that the store has refused.
    runs
        Id of the run of each cell by the path of its folder.
    """

    def __init__(self, manifest: Manifest, workspace: Workspace) -> None:
        self.manifest, self.workspace = manifest, workspace
        self.uri = default_uri(workspace)
        self.name = manifest.experiment.name
        self.note_key = note_key(self.name)
        self.trouble = ""
        self.connected = False
        self.is_new = False
        self.missed: set[Path] = set()
        self.runs: dict[Path, str] = {}

    def connect(self) -> None:
        """Open the store and the experiment in it; make them if they are not there.

        Raises
        ------
        BenchError
            The store cannot be reached or used.
        """
        try:
            self._connect()
        except BenchError:
            raise
        except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
            raise store_error(self.uri, error) from None

    def _connect(self) -> None:
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        with locked(self.workspace.store_lock):  # one process makes the tables
            database = self.workspace.database
            if default_store.is_in_use(self.workspace) and not database.exists():
                default_store.make_store(database)
            default_store.follow_move(self.workspace)
            self.client = store_client(self.uri)
            self.store_id = self._identity()
            self.experiment_id = self._experiment()
            self.parent_id = self._parent()
        self.connected = True

    def open(self) -> None:
        """Connect to the store. A server that is away is noted in `trouble` and asked again later.

        Raises
        ------
        BenchError
            A store on this machine cannot be used.
        """
        if is_server(self.uri):
            self._attempt(lambda: None)
            return
        try:
            self.connect()
        except BenchError as error:
            raise BenchError(f"{error}; nothing was run") from None

    def _identity(self) -> str:
        """Return an identifier of this store, which another store at its URI would not have.

        It is noted in `Workspace.store_notes`, and a note there that the rows are recorded is
        removed until `close` has recorded them again.
        """
        identity = f"made {self.client.get_experiment('0').creation_time}"
        path = self.workspace.store_notes
        notes = {**(read_json(path) or {}), store_name(): identity}
        notes.pop(self.note_key, None)
        write_text(path, json_text(notes))
        return identity

    def _experiment(self) -> str:
        """Return the id of the experiment in the store, made or restored if it has to be."""
        stored = self.client.get_experiment_by_name(self.name)
        experiment = self.manifest.experiment
        about = {
            # The UI shows an experiment of this kind as training runs, not as traces of agents.
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.note.content": f"{experiment.title}\n\n{experiment.why}",
            "dataset": experiment.dataset,
        }
        if stored is not None:
            if stored.lifecycle_stage == "deleted":
                self.client.restore_experiment(stored.experiment_id)
            for key, value in about.items():
                if stored.tags.get(key) != value:
                    self.client.set_experiment_tag(stored.experiment_id, key, value)
            return str(stored.experiment_id)
        artifacts = self.workspace.artifacts.resolve().as_uri()
        # A server has a place for artifacts of its own; a database has none.
        local = None if is_server(self.uri) else artifacts
        return str(self.client.create_experiment(self.name, local, about))

    def _parent(self) -> str:
        """Return the id of the run that stands for the experiment, made if there is none yet."""
        query = "tags.`bench.kind` = 'experiment'"
        parents = self.client.search_runs([self.experiment_id], query, max_results=1)
        experiment = self.manifest.experiment
        tags = {
            "bench.kind": "experiment",
            "dataset": experiment.dataset,
            "mlflow.note.content": f"{experiment.title}\n\n{experiment.why}",
        }
        self.is_new = not parents
        if not parents:
            run = self.client.create_run(self.experiment_id, run_name=self.name, tags=tags)
            return str(run.info.run_id)
        run_id = str(parents[0].info.run_id)
        self.client.update_run(run_id, status="RUNNING")
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value)
        return run_id

    def _note(self, folder: CellFolder) -> dict[str, Any]:
        notes = read_json(folder.path / "mlflow.json") or {}
        note: dict[str, Any] = notes.get(self.note_key, {})
        # A store that was emptied, and made again at the same URI, knows nothing of it.
        return note if note.get("store") == self.store_id else {}

    def _write_note(self, folder: CellFolder, note: dict[str, Any]) -> None:
        notes = read_json(folder.path / "mlflow.json") or {}
        notes[self.note_key] = {**note, "store": self.store_id}
        write_text(folder.path / "mlflow.json", json_text(notes))

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Act on the store; return whether that went well. An error is noted in `trouble`."""
        try:
            if not self.connected:
                self._connect()
            action()
        except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
            self.trouble = (
                f"MLflow at {without_secret(self.uri)} failed ({first_line(error)}); no result is "
                f"lost: the same command, or bench track {self.name}, records what is missing"
            )
            return False
        if not self.missed:
            self.trouble = ""
        return True

    def _run(self, folder: CellFolder) -> str:
        """Return the id of the run of a cell, made if there is none yet."""
        if folder.path in self.runs:
            return self.runs[folder.path]
        cell, noted = folder.cell, self._note(folder).get("run_id")
        run_id = noted or (None if self.is_new else self._unfinished(cell))
        if run_id:
            self.client.update_run(run_id, status="RUNNING", name=cell.name)
            self.client.set_tag(run_id, "row", cell.row)
            if "error" in self.client.get_run(run_id).data.tags:
                self.client.delete_tag(run_id, "error")
        else:
            tags = content.cell_tags(cell) | {content.PARENT: self.parent_id}
            begun = content.times(folder)
            run = self.client.create_run(
                self.experiment_id, begun and begun[0], run_name=cell.name, tags=tags
            )
            run_id = run.info.run_id
        if not noted:
            content.log_inputs(self.client, run_id, cell)
            self._write_note(folder, {"run_id": run_id})
        self.runs[folder.path] = str(run_id)
        return str(run_id)

    def _unfinished(self, cell: Cell) -> str | None:
        """Return the id of a run that was made just before a crash, so that no folder notes it."""
        query = f"tags.fingerprint = '{cell.fingerprint}' and tags.`bench.kind` = 'cell'"
        runs = self.client.search_runs([self.experiment_id], query, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def follow(self, folder: CellFolder) -> bool:
        """Send the new points of the curves of a running cell; return whether that went well."""
        return self._attempt(lambda: self._locked(self._follow, folder))

    def finish(self, folder: CellFolder) -> bool:
        """Record a finished or failed cell, unless it is; return whether that went well."""
        self.missed.add(folder.path)
        if taken := self._attempt(lambda: self._locked(self._record, folder)):
            self.missed.discard(folder.path)
        return taken

    def _locked(self, action: Callable[[CellFolder], None], folder: CellFolder) -> None:
        with locked(folder.path / "mlflow.lock"):
            action(folder)

    def forget_missing(self) -> None:
        """Forget runs that the store no longer has, so that their cells are recorded again.

        An error of the store is noted in `trouble`.
        """

        def forget() -> None:
            recorded = content.runs_of_kind(self.client, self.experiment_id, "cell")
            known = {run.info.run_id for run in recorded}
            for folder in self.manifest.folders:
                if self._note(folder).get("run_id", "") not in {"", *known}:
                    self._write_note(folder, {})

        self._attempt(forget)

    def _follow(self, folder: CellFolder) -> None:
        if folder.path not in self.runs:
            content.Record(params=content.cell_params(folder.cell)).log(
                self.client, self._run(folder)
            )
        self._send_curves(folder)

    def _send_curves(self, folder: CellFolder) -> None:
        from mlflow.entities import Metric

        run_id = self._run(folder)
        lines, sent = folder.curves(), int(self._note(folder).get("sent", 0))
        if lines and lines[-1]["step"] < sent:  # the training has begun anew
            sent = 0
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
        self._write_note(folder, {"run_id": run_id, "sent": new[-1]["step"]})

    def _record(self, folder: CellFolder) -> None:
        outcome = read_outcome(folder, self.name)
        if is_recorded(self._note(folder), folder, outcome):
            return
        self._send_curves(folder)
        run_id = self._run(folder)
        note = self._note(folder)
        if outcome.status == "done":
            record = content.finished(folder, self.manifest.experiment)
            link = f"#/experiments/{self.experiment_id}/runs/{self.parent_id}"
            record.tags[NOTE] += f"\n\n[The experiment, with its report]({link})"
            record.log(self.client, run_id)
            log_pictures(self.client, run_id, folder)
            # A cell that was taken from a report has scores and nothing learnt.
            if folder.cell.learns and training_folder(folder).is_fitted():
                log_model(self.client, run_id, folder, record.metrics)
        else:
            content.failed(outcome).log(self.client, run_id)
        ending = "FINISHED" if outcome.status == "done" else "FAILED"
        ended = content.times(folder) if outcome.status == "done" else None
        self.client.set_terminated(run_id, ending, ended and self._end(run_id, *ended))
        self._write_note(folder, note | recorded_as(folder, outcome))

    def _end(self, run_id: str, begun: int, ended: int) -> int:
        """Return the end of a run, in milliseconds since 1970, so that it lasts as its cell did."""
        return int(self.client.get_run(run_id).info.start_time) + ended - begun

    def interrupt(self) -> None:
        """Mark the runs of the experiment and of its unfinished cells as killed.

        The next `bench run` continues them.
        """

        def kill() -> None:
            ended = {
                folder.path
                for folder in self.manifest.folders
                if folder.is_done() or folder.state().get("stage") == "failed"
            }
            for path, run_id in self.runs.items():
                if path not in ended:
                    self.client.set_terminated(run_id, "KILLED")
            self.client.set_terminated(self.parent_id, "KILLED")

        self._attempt(kill)

    def close(self, n_failed: int, report: Path) -> None:
        """Record the report and the rows of the experiment, and end its run.

        Parameters
        ----------
        n_failed
            Number of failed cells; with any, the run of the experiment ends as failed.
        report
            Folder of the report.
        """

        def end() -> None:
            self.client.log_artifacts(self.parent_id, str(report), "report")
            describe_experiment(self.client, self.parent_id, self.manifest.experiment, report)
            experiment = self.manifest.experiment
            swept = dict.fromkeys(name for entry in experiment.methods for name in entry.sweep)
            set_view(
                self.client,
                self.experiment_id,
                self.parent_id,
                table_metrics(experiment),
                list(swept),
            )
            runs = {f.path: str(self._note(f).get("run_id", "")) for f in self.manifest.folders}
            known = {path: run_id for path, run_id in runs.items() if run_id}
            log_examples(self.client, self.manifest, report, known)
            log_rows(self.client, self.experiment_id, self.parent_id, self.manifest, report, known)
            self.client.set_terminated(self.parent_id, "FAILED" if n_failed else "FINISHED")
            with locked(self.workspace.store_lock):
                path = self.workspace.store_notes
                note = rows_note(self.manifest, self.store_id)
                write_text(path, json_text({**(read_json(path) or {}), self.note_key: note}))

        self._attempt(end)
