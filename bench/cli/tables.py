"""What commands print and write at their end: the tables of an experiment and its report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.cli.options import HERE
from bench.cli.warn import warn
from bench.errors import BenchError
from bench.store.files import refuse_link

if TYPE_CHECKING:
    from bench.report.table import Part
    from bench.store.external import ExternalRow


def prepare(folder: Path) -> None:
    """Make a folder that a command will write at its end, before it does any work.

    Raises
    ------
    BenchError
        The folder cannot be made or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(f"{folder} cannot be written: {error.strerror}; nothing was run") from None


def prepare_report(name: str) -> None:
    """Make the folder of an experiment's report, before a command does any work.

    Raises
    ------
    BenchError
        The folder is a link, or cannot be made or written.
    """
    folder = HERE.reports / name
    refuse_link(folder)
    prepare(folder)


def print_tables(console: Console, parts: Sequence[Part], report_folder: Path) -> None:
    """Print the tables of a report, what their marks mean, and where to look on."""
    from bench.report.formats.terminal import marks, terminal_tables

    for table in terminal_tables(parts):
        console.print(table)
    for line in marks(parts):
        console.print(line, highlight=False)
    print(f"report: {report_folder}/index.html")


def finish_external(console: Console, row: ExternalRow, record: bool) -> None:
    """Write the report of external scores, record them in MLflow if asked, and print the tables."""
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report
    from bench.tracking.tracker import Tracker

    results = row.manifest.results()
    tables = tabulate(results)
    report_folder = write_report(tables, HERE)
    if record:
        tracker = Tracker(row.manifest, HERE)
        tracker.open()
        tracker.finish(row.folder)
        tracker.close(results.n_failed, report_folder)
        if tracker.trouble:
            warn(tracker.trouble)
    print_tables(console, tables.parts, report_folder)
