"""The content of the run of a cell: tags, datasets, parameters, metrics and tables."""

from __future__ import annotations

import datetime
import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import provenance
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.scoring.aggregate import OVER_TRACKS, over_tracks, track_values
from bench.store.cell_folder import CellFolder
from bench.store.facts import spent_s
from bench.store.results import Outcome
from bench.track import TARGETS
from bench.tracking.address import json_text
from bench.tracking.description import NOTE, describe_cell, metric_key

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: The tag that holds the id of the run above a run.
PARENT = "mlflow.parentRunId"
#: The tag by which the UI knows which artifacts are tables.
TABLES = "mlflow.loggedArtifacts"


def cell_tags(cell: Cell) -> dict[str, str]:
    """Return the tags of the run of a cell, by which teams filter."""
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


def runs_of_kind(client: MlflowClient, experiment_id: str, kind: str) -> Iterator[Run]:
    """Yield the runs of an experiment of one ``bench.kind``, however many pages they take."""
    token = None
    while True:
        query = f"tags.`bench.kind` = '{kind}'"
        page = client.search_runs([experiment_id], query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def log_inputs(client: MlflowClient, run_id: str, cell: Cell) -> None:
    """Log each split of a cell with its digest as a dataset."""
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
    client.log_inputs(run_id, inputs)


def cell_params(cell: Cell) -> dict[str, str]:
    """Return the hyperparameters of a cell as MLflow's parameters."""
    values = {"method": cell.method, **cell.hyperparameters}
    values |= {} if cell.seed is None else {"seed": cell.seed}
    return {name: str(value) for name, value in values.items()}


@dataclass
class Record:
    """The content of a run, sent in few messages, since a store may be far away.

    Attributes
    ----------
    params, metrics, tags
        Values by name. A parameter may be sent again with the same value.
    files
        Text artifacts by path.
    """

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def log(self, client: MlflowClient, run_id: str) -> None:
        """Send the content; metrics and tags that the run has are replaced."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, 0) for key, value in self.metrics.items()]
        params = [Param(*item) for item in self.params.items()]
        client.log_batch(run_id, metrics, params, [RunTag(*item) for item in self.tags.items()])
        if not self.files:
            return
        with tempfile.TemporaryDirectory() as scratch:
            for name, text in self.files.items():
                path = Path(scratch) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            client.log_artifacts(run_id, scratch)


def times(folder: CellFolder) -> tuple[int, int] | None:
    """Return when the work of a finished cell began and ended, in milliseconds since 1970.

    Between the two lies the time that its training, separation and scoring took. None is returned
    where the time of the end is not known.
    """
    markers = [facts for name in folder.cell.protocols if (facts := folder.score_facts(name))]
    stamps = [str((facts.get("provenance") or {}).get("time", "")) for facts in markers]
    if not markers or not all(stamps):
        return None
    ended = datetime.datetime.fromisoformat(max(stamps)).timestamp()
    return int(1000 * (ended - spent_s(markers))), int(1000 * ended)


def failed(outcome: Outcome) -> Record:
    """Return the content of the run of a failed cell."""
    return Record(params=cell_params(outcome.cell), tags={"error": outcome.error or "not finished"})


def finished(folder: CellFolder, experiment: Experiment) -> Record:
    """Return the content of the run of a finished cell: its description and its scores.

    Each protocol gives metrics and two tables: one by track, with the same columns on every run of
    an experiment, so that the UI can compare runs, and one by window. The tables have the format of
    MLflow's ``log_table``, which is not called since it appends to a table that the run has.

    Parameters
    ----------
    folder
        Folder of the cell.
    experiment
        The experiment, whose protocols set the names of the metrics.
    """
    record, tables, protocols = Record(params=cell_params(folder.cell)), [], {}
    for protocol in folder.cell.protocols:
        scores, facts = folder.scores(protocol), folder.score_facts(protocol)
        if scores is None:
            continue
        tracks = track_values(scores)
        protocols[protocol] = rows = over_tracks(scores, tracks=tracks).to_dict("records")
        record.metrics |= _row_metrics(experiment, protocol, rows) | _time_metrics(facts)
        captured = facts.get("provenance") or {}  # a report of an earlier release may have none
        if "commit" in captured:
            record.tags["commit"] = captured["commit"]
            record.files["provenance.json"] = json.dumps(captured, indent=2)
        if "precision" in facts.get("fit", {}):
            record.tags["precision"] = facts["fit"]["precision"]
        finite = scores.astype({"value": "float64"}).replace([math.inf, -math.inf], math.nan)
        for kind, table in (("tracks", _by_track(tracks, protocol)), ("scores", finite)):
            name = f"{kind}/{protocol}.json"
            record.files[name] = table.to_json(orient="split", index=False)
            tables.append({"path": name, "type": "table"})
    record.tags |= {TABLES: json.dumps(tables), NOTE: describe_cell(folder.cell, protocols)}
    return record


def _row_metrics(
    experiment: Experiment, protocol: str, rows: Sequence[Mapping[Any, Any]]
) -> dict[str, float]:
    """Return the finite values among the rows of `over_tracks`, by their names in MLflow."""
    metrics: dict[str, float] = {}
    for row in rows:
        key = metric_key(experiment, protocol, row["target"], row["metric"])
        if math.isfinite(row["value"]):
            metrics[key] = row["value"]
        for count in ("undefined", "infinite"):
            if row[f"n_{count}"]:
                metrics[f"{key}_{count}"] = row[f"n_{count}"]
    return metrics


def _time_metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the times and counts of a cell that are known."""
    fit_s, separate_s = facts.get("fit", {}).get("fit_s"), facts.get("separate_s")
    metrics: dict[str, float] = {}
    if facts.get("n_tracks") is not None:
        metrics["n_tracks"] = facts["n_tracks"]
    if fit_s is not None:
        metrics["time/fit_s"] = fit_s
    if separate_s is not None:
        metrics["time/separate_s"] = separate_s
        if facts.get("audio_s"):
            metrics["time/real_time_factor"] = separate_s / facts["audio_s"]
    return metrics


def _by_track(tracks: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return `track_values` as a table: one row a track, one column a target and metric.

    Values that are not finite are missing.
    """
    named = tracks.assign(column=tracks["target"].astype(str) + "/" + tracks["metric"].astype(str))
    wide = named.pivot(index="track", columns="column", values="value")
    names = [f"{t}/{m}" for t in TARGETS for m in OVER_TRACKS[protocol][1]]
    wide = wide.loc[tracks["track"].unique(), [name for name in names if name in wide]]
    wide.columns.name = None
    return wide.round(4).replace([math.inf, -math.inf], math.nan).reset_index()
