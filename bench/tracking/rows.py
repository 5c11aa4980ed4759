"""A run for each row of an experiment, so that MLflow's own UI shows which row is best.

A row of several trainings has a run of its own below that of the experiment, and the runs of its
cells lie below that one. Its metrics are the means over the trainings, their standard deviations
and the ends of the 95 % intervals (``vocals/gnsdr_sd``, ``_low``, ``_high``), and the number of
trainings (``seeds``). A row of one cell has no other run than that of its cell, to which the
interval of the first metric is added. ``place`` is a row's place by the first metric of the report:
the methods first, then imported scores, then bounds.
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
from bench.plan.experiment import Experiment
from bench.scoring.aggregate import from_best
from bench.store.manifest import Manifest
from bench.tracking import content
from bench.tracking.address import json_text
from bench.tracking.content import PARENT, Record, runs_of_kind
from bench.tracking.description import NOTE, clipped, metric_key, table_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: The tag that holds a digest of the metrics and tags that a run has as the run of a row.
_DIGEST = "bench.row_digest"
#: Groups whose places are behind all others, in this order.
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
    """Bring the runs of the rows of an experiment up to date; what they have is not sent again.

    The run of a row that the experiment no longer has is deleted, which MLflow can undo. The run of
    a cell keeps its scores; where it no longer is the run of a row, its place is behind all rows.

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
    active = {run.info.run_id for run in of_cells}  # a deleted run cannot be changed
    cells: dict[str, list[tuple[Cell, str]]] = {}
    for folder in manifest.folders:
        run_id = runs.get(folder.path, "")
        if run_id in active:
            cells.setdefault(folder.cell.row, []).append((folder.cell, run_id))
    rows = _read_rows(report / "rows.csv", manifest.experiment)
    row_runs = _without_stale(client, of_rows, rows, cells)
    recorded = {run.info.run_id: run for run in (*row_runs.values(), *of_cells)}
    first = table_metrics(manifest.experiment)[0]
    parents, placed = dict.fromkeys(active, parent_id), set()
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
            run = row_runs.get(row.label)
            if run is None:
                tags = _tags(of_row[0][0], parent_id)
                run = client.create_run(experiment_id, run_name=row.label, tags=tags)
            run_id = run.info.run_id
            recorded.setdefault(run_id, run)
            record.metrics["seeds"] = row.n_seeds
            record.params = _shared_params([cell for cell, _ in of_row])
            record.tags[NOTE] = _description(row)
            parents |= dict.fromkeys((cell_run for _, cell_run in of_row), run_id)
        placed.add(run_id)
        digest = hashlib.sha256(json_text([record.metrics, record.tags]).encode()).hexdigest()
        if recorded[run_id].data.tags.get(_DIGEST) == digest:
            continue
        record.tags[_DIGEST] = digest
        record.log(client, run_id)
        if row.n_seeds > 1:
            client.set_terminated(run_id, "FINISHED" if row.is_done else "FAILED")
    for run_id, parent in parents.items():
        if recorded[run_id].data.tags.get(PARENT) != parent:
            client.set_tag(run_id, PARENT, parent)
    _put_last(client, [run for run in of_cells if run.info.run_id not in placed], len(rows) + 1)


def _without_stale(
    client: MlflowClient,
    of_rows: Sequence[Run],
    rows: Sequence[_Row],
    cells: Mapping[str, Sequence[tuple[Cell, str]]],
) -> dict[str, Run]:
    """Delete the runs of rows that the experiment no longer has; return the others by label.

    A row whose hyperparameters have changed is another row, since MLflow changes no parameter that
    a run has.
    """
    labels = {row.label for row in rows if row.n_seeds > 1}
    kept: dict[str, Run] = {}
    for run in of_rows:
        label, params = run.data.tags["row"], run.data.params.items()
        of_row = [cell for cell, _ in cells.get(label, [])]
        is_changed = bool(of_row and params - _shared_params(of_row).items())
        if label not in labels or label in kept or is_changed:
            client.delete_run(run.info.run_id)
        else:
            kept[label] = run
    return kept


def _put_last(client: MlflowClient, of_cells: Sequence[Run], place: int) -> None:
    """Move the place of cells' runs that are no rows behind all rows.

    MLflow cannot delete a metric. The digests of these runs are removed, so that a cell that
    becomes a row again gets its place again.
    """
    for run in of_cells:
        if run.data.metrics.get("place", place) != place:
            Record(metrics={"place": place}, tags={_DIGEST: ""}).log(client, run.info.run_id)


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


def _read_rows(path: Path, experiment: Experiment) -> list[_Row]:
    """Return the rows of a report, in its order."""
    rows: dict[str, _Row] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = rows.setdefault(
                line["row"], _Row(line["row"], line["group"], {}, int(line["n_seeds"]), True)
            )
            key = metric_key(experiment, line["protocol"], line["target"], line["metric"])
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
        return group, from_best(metric.rpartition("/")[2], row.metrics.get(metric, math.nan))

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
