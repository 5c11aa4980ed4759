"""A run for each row of an experiment, so that MLflow's own UI tells which row is best.

A row of several trainings has a run of its own below that of the experiment: its metrics are the
means over the trainings, beside them their standard deviation and the ends of the 95 % interval
(``vocals/gnsdr_sd``, ``_low``, ``_high``), ``seeds`` their number, and the runs of its cells lie
below it. A row of one cell is the run of that cell, which has the interval of the first metric
beside its scores. ``place`` is a row's place by the first metric of the report: the methods first,
then imported scores, then bounds.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plan.cells import IMPORTED, Cell
from bench.scoring.aggregate import merit
from bench.store.manifest import Manifest
from bench.tracking import content
from bench.tracking.address import json_text
from bench.tracking.content import PARENT, Record, runs_of_kind
from bench.tracking.description import NOTE, clipped, table_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The tag that holds a digest of what a run tells of its row.
_DIGEST = "bench.row_digest"
#: Groups from the first to the last place.
_LAST_GROUPS = (IMPORTED, "bound")


@dataclass(frozen=True)
class _Row:
    """A row of a report, from its ``rows.csv``.

    Attributes
    ----------
    label, group
        As in the report.
    metrics
        By their names in MLflow.
    n_seeds
        Number of its cells.
    is_done
        Whether all of them have scores.
    """

    label: str
    group: str
    metrics: dict[str, float]
    n_seeds: int
    is_done: bool


def log_rows(
    client: MlflowClient,
    experiment_id: str,
    parent_id: str,
    manifest: Manifest,
    report: Path,
    runs: Mapping[Path, str],
) -> None:
    """Write the runs of the rows of an experiment; what they say already is not sent again.

    Parameters
    ----------
    client
        Client of the store.
    experiment_id, parent_id
        Id of the experiment, and of the run that stands for it.
    manifest
        The experiment and its cells.
    report
        Folder of the report.
    runs
        Id of the run of each cell by the path of its folder.
    """
    of_rows, of_cells = (
        list(runs_of_kind(client, experiment_id, kind)) for kind in ("row", "cell")
    )
    row_runs = {run.data.tags["row"]: run for run in of_rows}
    recorded = {run.info.run_id: run for run in (*of_rows, *of_cells)}
    cells: dict[str, list[tuple[Cell, str]]] = {}
    for folder in manifest.folders:
        if folder.path in runs:
            cells.setdefault(folder.cell.row, []).append((folder.cell, runs[folder.path]))
    rows = _read_rows(report / "rows.csv", prefixed=len(manifest.experiment.protocols) > 1)
    first = table_metrics(manifest.experiment)[0]
    for place, row in enumerate(_placed(rows, first), 1):
        of_row = cells.get(row.label, [])
        if not of_row:
            continue
        record = Record(metrics={**row.metrics, "place": place})
        if row.n_seeds == 1:
            run_id = of_row[0][1]
            beside = {"place", f"{first}_low", f"{first}_high"}
            record.metrics = {k: v for k, v in record.metrics.items() if k in beside}
        else:
            params = _shared_params([cell for cell, _ in of_row])
            run = row_runs.get(row.label)
            if run is not None and run.data.params.items() - params.items():
                # The row has other hyperparameters now, and MLflow changes none that a run has.
                client.delete_run(run.info.run_id)
                recorded.pop(run.info.run_id)
                run = None
            if run is None:
                tags = _tags(of_row[0][0], parent_id)
                run = client.create_run(experiment_id, run_name=row.label, tags=tags)
            run_id = run.info.run_id
            recorded.setdefault(run_id, run)
            record.metrics["seeds"] = row.n_seeds
            record.params = params
            record.tags[NOTE] = _description(row)
            for _, cell_run in of_row:
                known = recorded.get(cell_run)
                if known is None or known.data.tags.get(PARENT) != run_id:
                    client.set_tag(cell_run, PARENT, run_id)
        digest = hashlib.sha256(json_text([record.metrics, record.tags]).encode()).hexdigest()
        if run_id in recorded and recorded[run_id].data.tags.get(_DIGEST) == digest:
            continue
        record.tags[_DIGEST] = digest
        record.log(client, run_id)
        if row.n_seeds > 1:
            client.set_terminated(run_id, "FINISHED" if row.is_done else "FAILED")


def _tags(cell: Cell, parent_id: str) -> dict[str, str]:
    """Return the tags of the run of a row, from those of one of its cells."""
    tags = content.cell_tags(cell)
    of_cell = ("seed", "fingerprint", "commit")
    tags = {name: value for name, value in tags.items() if name not in of_cell}
    return {**tags, "bench.kind": "row", PARENT: parent_id}


def _shared_params(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the parameters that all cells of a row have."""
    first, *others = map(content.cell_params, cells)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _read_rows(path: Path, *, prefixed: bool) -> list[_Row]:
    """Return the rows of a report, in its order."""
    rows: dict[str, _Row] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = rows.setdefault(
                line["row"], _Row(line["row"], line["group"], {}, int(line["n_seeds"]), True)
            )
            prefix = f"{line['protocol']}/" if prefixed else ""
            key = f"{prefix}{line['target']}/{line['metric']}"
            numbers = {
                key: line["value"],
                f"{key}_sd": line["spread"],
                f"{key}_low": line["low"],
                f"{key}_high": line["high"],
            }
            for name, text in numbers.items():
                if text and math.isfinite(float(text)):
                    row.metrics[name] = float(text)
            if line["status"].startswith(("failed", "missing")):
                rows[row.label] = replace(row, is_done=False)
    return list(rows.values())


def _placed(rows: Sequence[_Row], metric: str) -> list[_Row]:
    """Return rows from the first place to the last."""

    def key(row: _Row) -> tuple[int, float]:
        group = _LAST_GROUPS.index(row.group) + 1 if row.group in _LAST_GROUPS else 0
        value = row.metrics.get(metric)
        return group, math.inf if value is None else -merit(metric.rpartition("/")[2]) * value

    return sorted(rows, key=key)


def _description(row: _Row) -> str:
    """Return the description of the run of a row, in Markdown."""
    lines = [f"**{row.label}**, means over {row.n_seeds} trainings", ""]
    lines += ["| metric | mean | standard deviation | 95 % interval |", "|---|---:|---:|---|"]
    for key, value in row.metrics.items():
        if key.endswith(("_sd", "_low", "_high")):
            continue
        spread, low, high = (row.metrics.get(f"{key}_{end}") for end in ("sd", "low", "high"))
        interval = "" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"
        deviation = "" if spread is None else f"{spread:.2f}"
        lines.append(f"| {key} | {value:.2f} | {deviation} | {interval} |")
    return clipped("\n".join(lines))
