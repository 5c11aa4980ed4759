"""The report in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from bench.report.notes import notes
from bench.report.table import CLOSE, NOTHING, Entry, Grid, Part, metric_name, parts
from bench.store.results import Results


def markdown(results: Results, lines: pd.DataFrame, beside: str = "") -> str:
    """Return the report in Markdown: why, a table for each protocol and target, notes.

    Parameters
    ----------
    results
        The experiment and its cells.
    lines
        Its rows, see `long_rows`.
    beside
        What goes between tables and notes, in Markdown: a figure and what it shows.
    """
    experiment, tables = results.experiment, parts(results, lines)
    out = [f"# {experiment.title}", "", experiment.why.strip(), ""]
    for part in tables:
        title = part.target.capitalize()
        several = len(experiment.protocols) > 1
        out += [f"## {title}, {part.protocol}" if several else f"## {title}", ""]
        out += [f"{part.caption}.", ""]
        for grid in part.grids:
            out += [*grid_table(grid), ""]
        out += [*table(part), ""]
    out += [beside, ""] if beside else []
    out += ["## Notes", "", *[f"- {escape_markdown(note)}" for note in notes(results, tables)]]
    return "\n".join(out).rstrip() + "\n"


def table(part: Part) -> list[str]:
    """Return the lines of a table, a heading row before each group."""
    names = [metric_name(metric) for metric in part.metrics]
    columns = ["method", *[f"{name} ↑" for name in names], "tracks"]
    columns += [f"published {name}" for name in names] if part.has_published else []
    out = framed(columns)
    for line in part.lines:
        if line.starts_group:
            out.append(f"| *{line.starts_group}* |" + " |" * (len(columns) - 1))
        cells = [escape_markdown(line.row.label)]
        cells += [shown(line.entries[metric]) for metric in part.metrics]
        cells.append(line.tracks)
        if part.has_published:
            cells += [line.entries[metric].published for metric in part.metrics]
        out.append("| " + " | ".join(cells) + " |")
    return out


def grid_table(grid: Grid) -> list[str]:
    """Return the lines of an ablation's grid."""
    name = escape_markdown(grid.column_name)
    columns = [escape_markdown(column) for column in grid.columns]
    corner = f"{metric_name(grid.metric)} ↑: {escape_markdown(grid.row_name)}"
    out = framed([corner, *[f"{name} = {column}" for column in columns]])
    for row in grid.rows:
        found = [grid.places.get((row, column)) for column in grid.columns]
        cells = [shown(entry) if entry else NOTHING for entry in found]
        out.append("| " + " | ".join([escape_markdown(row), *cells]) + " |")
    return out


def framed(columns: Sequence[str]) -> list[str]:
    """Return the heading of a table: the first column left, the others right."""
    return ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]


def shown(entry: Entry) -> str:
    """Return a number with its rank, its mark and its interval."""
    frames = {"best": "**{}**", "second": "<u>{}</u>"}
    text = frames.get(entry.rank, "{}").format(entry.text)
    mark = f" {CLOSE}" if entry.close else ""
    return text + mark + (f" <sub>{entry.interval}</sub>" if entry.interval else "")


def escape_markdown(text: str) -> str:
    """Return text in which no character opens a column, a link or HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", " ".join(text.split()))
