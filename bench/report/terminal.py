"""The tables of a report as they print in a terminal, from its ``rows.csv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from bench.report.tables import number


def tables(folder: Path) -> Iterator[Table]:
    """Yield a table for each protocol and target."""
    lines = pd.read_csv(folder / "rows.csv")
    for (protocol, target), part in lines.groupby(["protocol", "target"], sort=False):
        metrics = list(part["metric"].unique())
        table = Table(title=f"{target}, {protocol}, dB", title_justify="left")
        table.add_column("method")
        for metric in metrics:
            table.add_column(metric.upper(), justify="right")
        table.add_column("tracks", justify="right")
        for label, row in part.groupby("row", sort=False):
            values = row.set_index("metric")["value"]
            cells = [number(float(values[metric])) for metric in metrics]
            table.add_row(Text(str(label)), *cells, str(int(row["n_tracks"].max())))
        yield table
