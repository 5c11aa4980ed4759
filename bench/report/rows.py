"""From the scores of many cells to the rows of a table, one number a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.runner.results import Results
from bench.scoring.aggregate import over_tracks

COLUMNS = ["row", "method", "target", "protocol", "metric", "value", "n_tracks", "n_undefined",
           "published"]  # fmt: skip
#: The titles of groups, in the order of the table.
GROUPS = {
    "supervised": "Supervised",
    "unsupervised": "Unsupervised",
    "elsewhere": "Made elsewhere",
    "bound": "Bounds",
}


@dataclass(frozen=True)
class Row:
    """A row of the table: its label, its method and how it came out.

    Attributes
    ----------
    label, method, group, note
        As in the experiment.
    status
        ``done``; ``failed`` or ``missing`` where any of its cells is.
    n_seeds
        Cells that its numbers are the mean of.
    """

    label: str
    method: str
    group: str
    note: str
    status: str
    n_seeds: int


def table_rows(results: Results) -> list[Row]:
    """Return the rows of an experiment in the order of its file, grouped: bounds last."""
    notes = {
        label: entry.note for entry in results.experiment.methods for label, _ in entry.variants()
    }
    rows: dict[str, Row] = {}
    for cell in results.cells:
        same = [
            folder
            for other, folder in zip(results.cells, results.folders, strict=True)
            if other.row == cell.row
        ]
        statuses = ["done" if f.is_done() else "failed" if f.error() else "missing" for f in same]
        worst = max(statuses, key=["done", "missing", "failed"].index)
        rows[cell.row] = Row(
            cell.row, cell.method, cell.group, notes[cell.row], worst, len(statuses)
        )
    order = list(GROUPS)
    return sorted(rows.values(), key=lambda row: order.index(row.group))


def published(results: Results, row: str, target: str, metric: str) -> float:
    """Return the published figure of a row, or NaN."""
    for entry in results.experiment.methods:
        if row in [label for label, _ in entry.variants()]:
            return entry.published.get(target, {}).get(metric, np.nan)
    return np.nan


def long_rows(results: Results) -> pd.DataFrame:
    """Return every aggregate of an experiment, unrounded: the content of ``rows.csv``.

    A row of several seeds has the mean over seeds. A row of which a cell is missing or failed
    has the value NaN and no tracks: it is never averaged away.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`.
    """
    scores = results.scores()
    over = over_tracks(scores, by=["row", "seed"])
    lines = []
    for row in table_rows(results):
        for protocol in results.experiment.protocols:
            for target in results.experiment.table.targets:
                for metric in results.experiment.metrics(protocol):
                    mine = over[
                        (over["row"] == row.label)
                        & (over["protocol"] == protocol)
                        & (over["target"] == target)
                        & (over["metric"] == metric)
                    ]
                    whole = row.status == "done"
                    lines.append(
                        {
                            "row": row.label,
                            "method": row.method,
                            "target": target,
                            "protocol": protocol,
                            "metric": metric,
                            "value": mine["value"].mean(skipna=False) if whole else np.nan,
                            "n_tracks": int(mine["n_tracks"].min()) if whole else 0,
                            "n_undefined": int(mine["n_undefined"].sum()) if whole else 0,
                            "published": published(results, row.label, target, metric),
                        }
                    )
    return pd.DataFrame(lines, columns=COLUMNS)
