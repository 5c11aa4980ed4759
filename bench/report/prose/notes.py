"""The notes under the tables of a report."""

from __future__ import annotations

from bench.report.rows import Row
from bench.report.table import CLOSE
from bench.report.tabulate import ReportTables
from bench.store.results import Results


def notes(tables: ReportTables) -> list[str]:
    """Return the notes, one a line, unescaped."""
    results, rows = tables.results, tables.rows
    lines = [
        "The best value of a column is bold, the second underlined. Bounds (the mixture, and masks "
        "made from the true sources) and imported scores are not ranked.",
        "In brackets: the 95 % interval of a value by the percentile bootstrap over tracks. "
        f"{CLOSE}: not significantly different from the best of its column (Wilcoxon's signed-rank "
        "test, paired by track, p-values adjusted by Holm, level 0.05). Both speak of the choice "
        "of tracks, not of the chance in a training.",
    ]
    if results.overrides:
        lines.append(f"Not as in its file: run with -o {' -o '.join(results.overrides)}")
    seeds = len(results.experiment.seeds)
    if seeds > 1:
        lines.append(
            f"Rows of methods that draw at random are means over {seeds} seeds, ± the standard "
            "deviation over seeds."
        )
    if any(part.has_published for part in tables.parts):
        lines.append(f"Published figures: {results.experiment.published_source or 'not stated.'}")
    lines += [f"{row.label}: {row.note}" for row in rows if row.note]
    lines += _failures(results)
    lines += [_unfinished(row) for row in rows if row.status.startswith("missing")]
    lines.append(f"Data: {results.corpus['citation']} Licence: {results.corpus['licence']}.")
    return lines


def _failures(results: Results) -> list[str]:
    """Return why each failed cell failed."""
    return [f"{o.cell.name} failed: {o.error}" for o in results.outcomes if o.status == "failed"]


def _unfinished(row: Row) -> str:
    """Return that a row is not finished: its numbers are left out whole."""
    return f"{row.label} is not finished ({row.status}): nothing of it is shown."
