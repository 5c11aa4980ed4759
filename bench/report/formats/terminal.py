"""The tables of a report in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from bench.report.numbers import in_unit
from bench.report.statistics import ALPHA
from bench.report.table import CLOSE, Entry, Part
from bench.scoring.aggregate import metric_name

_STYLES = {"best": "bold", "second": "underline"}


def terminal_tables(parts: Sequence[Part]) -> Iterator[Table]:
    """Yield each table of a report: a section a group, the best value bold."""
    for part in parts:
        table = Table(title=f"{part.title}{in_unit(part.metrics)}", title_justify="left")
        table.add_column("method")
        for metric in part.metrics:
            table.add_column(metric_name(metric), justify="right")
        table.add_column("tracks", justify="right")
        for i, line in enumerate(part.lines):
            if line.starts_group and i:
                table.add_section()
            entries = [_entry(line.entries[metric]) for metric in part.metrics]
            table.add_row(Text(line.row.label), *entries, line.tracks)
        yield table


def marks(parts: Sequence[Part]) -> Iterator[str]:
    """Yield what each mark in the tables means, a line each, as far as it is there."""
    entries = [e for part in parts for line in part.lines for e in line.entries.values()]
    if any(entry.rank for entry in entries):
        yield "bold: the best of its column; underlined: the second"
    if any(entry.close for entry in entries):
        units = " or by ".join(dict.fromkeys(part.unit for part in parts))
        yield f"{CLOSE}: not told apart from the best, by {units} or by trainings (level {ALPHA})"
    if any(entry.deviation for entry in entries):
        yield "±: standard deviation over trainings"


def _entry(entry: Entry) -> Text:
    """Return a number with its rank and its mark."""
    text = Text(entry.text, _STYLES.get(entry.rank, ""))
    return text + Text(f" {CLOSE}" if entry.close else "  ")
