"""The tables of a report in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from bench.report.numbers import metric_name
from bench.report.table import CLOSE, Entry
from bench.report.tabulate import ReportTables

_STYLES = {"best": "bold", "second": "underline"}


def terminal_tables(tables: ReportTables) -> Iterator[Table]:
    """Yield a table for each protocol and target: a section a group, the best value bold."""
    for part in tables.parts:
        table = Table(title=f"{part.target}, {part.protocol}, dB", title_justify="left")
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


def _entry(entry: Entry) -> Text:
    """Return a number with its rank and its mark."""
    text = Text(entry.text, _STYLES.get(entry.rank, ""))
    return text + Text(f" {CLOSE}" if entry.close else "  ")
