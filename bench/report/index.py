"""The page that lists all reports of a workspace, ``reports/index.html``.

It is made from the files of the reports alone: one that was computed elsewhere is on it too.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import provenance
from bench.report.aggregates import best_label
from bench.report.committed import load_provenance
from bench.report.numbers import rounded, unit_of
from bench.report.rows import UNRANKED
from bench.scoring.aggregate import metric_name


@dataclass(frozen=True)
class ReportSummary:
    """What the index says of a report.

    Attributes
    ----------
    name, title
        Name and title of the experiment.
    corpus
        Title of its corpus.
    n_tracks, n_rows
        Number of test tracks and of rows.
    best, best_value
        The row with the best value of the first column of the first table, and that value with its
        metric and target; empty where no row is ranked.
    n_cells, n_done
        Number of cells, and of those that are done.
    commits
        The commits at which its cells were computed, ten digits each, ``-dirty`` where files had
        changed.
    written
        Date on which the report was written.
    """

    name: str
    title: str
    corpus: str
    n_tracks: int
    n_rows: int
    best: str
    best_value: str
    n_cells: int
    n_done: int
    commits: tuple[str, ...]
    written: str

    @property
    def has_changes(self) -> bool:
        """Whether a cell was computed with changes that were not committed."""
        return any(map(provenance.has_changes, self.commits))


def summaries(reports: Path) -> tuple[list[ReportSummary], list[str]]:
    """Return the summary of each report in a folder, by name, and the names of damaged reports."""
    readable, damaged = [], []
    for path in sorted(reports.glob("*/provenance.json")):
        try:
            readable.append(_summary(path.parent, load_provenance(path.parent)))
        except (KeyError, ValueError, OSError, csv.Error):
            damaged.append(path.parent.name)
    return readable, damaged


def _summary(folder: Path, facts: dict[str, Any]) -> ReportSummary:
    """Return the summary of one report.

    Raises
    ------
    KeyError, ValueError, OSError, csv.Error
        Its ``rows.csv`` is missing or damaged.
    """
    experiment, cells = facts["experiment"], facts["cells"]
    with (folder / "rows.csv").open(newline="", encoding="utf-8") as file:
        best, best_value = _best(list(csv.DictReader(file)))
    stamps = [
        captured.get("commit", "")
        for cell in cells
        for scored in cell["scores"].values()
        for captured in provenance.all_captured(scored)
    ]
    return ReportSummary(
        folder.name,
        experiment["title"],
        facts["corpus"]["title"],
        facts["corpus"]["n_test"],
        len({cell["row"] for cell in cells}),
        best,
        best_value,
        len(cells),
        sum(cell["status"] == "done" for cell in cells),
        tuple(sorted({provenance.short(stamp) for stamp in stamps if stamp})),
        facts["report"]["time"][:10],
    )


def _best(rows: list[dict[str, str]]) -> tuple[str, str]:
    """Return the best row of the first column of a report's numbers, and its value in words."""
    if not rows:
        return "", ""
    column = [rows[0][name] for name in ("protocol", "target", "metric")]
    values = {
        row["row"]: float(row["value"])
        for row in rows
        if [row[name] for name in ("protocol", "target", "metric")] == column
        and row["group"] not in UNRANKED
        and row["value"]
    }
    values = {label: value for label, value in values.items() if math.isfinite(value)}
    best = best_label(values, column[2])
    if best is None:
        return "", ""
    metric, value = column[2], rounded(values[best])
    return best, f"{metric_name(metric)} {value}{unit_of(metric)}, {column[1]}"
