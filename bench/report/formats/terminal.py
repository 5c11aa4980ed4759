"""The tables of a report as they print in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from rich.table import Table
from rich.text import Text

from bench.report.table import CLOSE, Entry, metric_name, parts
from bench.store.results import Results

STYLES = {"best": "bold", "second": "underline"}


def tables(results: Results, lines: pd.DataFrame) -> Iterator[Table]:
    """Yield a table for each protocol and target: a section a group, the best value bold.

    `lines` are the rows of ``rows.csv``.
    """
    for part in parts(results, lines):
        title = f"{part.target}, {part.protocol}, dB"
        table = Table(title=title, title_justify="left")
        table.add_column("method")
        for metric in part.metrics:
            table.add_column(metric_name(metric), justify="right")
        table.add_column("tracks", justify="right")
        for i, line in enumerate(part.lines):
            if line.starts_group and i:
                table.add_section()
            entries = [shown(line.entries[metric]) for metric in part.metrics]
            table.add_row(Text(line.row.label), *entries, line.tracks)
        yield table


def shown(entry: Entry) -> Text:
    """Return a number with its rank and its mark."""
    text = Text(entry.text, STYLES.get(entry.rank, ""))
    return text + Text(f" {CLOSE}" if entry.close else "  ")
