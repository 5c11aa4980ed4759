"""From the scores of many cells to the rows of a table, one number a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.runner.results import Results
from bench.scoring.aggregate import over_seeds, over_tracks

COLUMNS = ["row", "method", "target", "protocol", "metric", "value", "spread", "half_width",
           "n_seeds", "n_tracks", "n_undefined", "published"]  # fmt: skip
#: The titles of groups, in the order of the table.
GROUPS = {
    "supervised": "Supervised",
    "unsupervised": "Unsupervised",
    "elsewhere": "Made elsewhere",
    "imported": "Imported scores",
    "bound": "Bounds",
}
#: Groups that are never ranked: bounds, and scores that were not computed here.
UNRANKED = ("imported", "bound")


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
            figure = entry.published.get(target, {}).get(metric, np.nan)
            return np.nan if isinstance(figure, str) else figure
    return np.nan


def not_recovered(results: Results) -> set[tuple[str, str, str]]:
    """Return row, target and metric of each published figure that could not be read."""
    return {
        (label, target, metric)
        for entry in results.experiment.methods
        for label, _ in entry.variants()
        for target, figures in entry.published.items()
        for metric, figure in figures.items()
        if isinstance(figure, str)
    }


def seed_values(results: Results) -> pd.DataFrame:
    """Return every aggregate of every seed: columns row, seed, target, protocol, metric, value."""
    return over_tracks(results.scores(), by=["row", "seed"])


def long_rows(results: Results) -> pd.DataFrame:
    """Return every aggregate of an experiment, unrounded: the content of ``rows.csv``.

    A row of several seeds has the mean over seeds, the standard deviation (``spread``) and half
    of the 95 % interval of the mean. A row of which a cell is missing or failed has the value NaN
    and no tracks: it is never averaged away.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`.
    """
    over = seed_values(results)
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
                    whole = row.status == "done" and len(mine) > 0  # imported: one protocol
                    found = over_seeds(mine["value"].to_list() if whole else [])
                    lines.append(
                        {
                            "row": row.label,
                            "method": row.method,
                            "target": target,
                            "protocol": protocol,
                            "metric": metric,
                            "value": found.mean,
                            "spread": found.spread,
                            "half_width": found.half_width,
                            "n_seeds": row.n_seeds,
                            "n_tracks": int(mine["n_tracks"].min()) if whole else 0,
                            "n_undefined": int(mine["n_undefined"].sum()) if whole else 0,
                            "published": published(results, row.label, target, metric),
                        }
                    )
    return pd.DataFrame(lines, columns=COLUMNS)
