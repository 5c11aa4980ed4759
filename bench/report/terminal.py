"""The tables of a report as they print in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from bench.report.rows import long_rows, table_rows
from bench.report.tables import body
from bench.runner.results import Results


def tables(results: Results) -> Iterator[Table]:
    """Yield a table for each protocol and target: a section a group, the best value bold."""
    lines, rows = long_rows(results), table_rows(results)
    for protocol in results.experiment.protocols:
        for target in results.experiment.table.targets:
            part = lines[(lines["protocol"] == protocol) & (lines["target"] == target)]
            metrics = list(part["metric"].unique())
            table = Table(title=f"{target}, {protocol}, dB", title_justify="left")
            table.add_column("method")
            for metric in metrics:
                table.add_column(metric.upper(), justify="right")
            table.add_column("tracks", justify="right")
            group = ""
            for row, cells in body(results, rows, part, lambda text: f"[bold]{text}[/bold]"):
                if group not in ("", row.group):
                    table.add_section()
                group = row.group
                table.add_row(Text(row.label), *cells[: len(metrics) + 1])
            yield table
