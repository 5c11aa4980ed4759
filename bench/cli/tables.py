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
    from bench.store.cell_folder import CellFolder
    from bench.store.manifest import Manifest


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


def finish_external(
    console: Console, manifest: Manifest, record: bool, scored: CellFolder | None = None
) -> None:
    """Write the report of an experiment whose external scores changed, and print its tables.

    Parameters
    ----------
    console
        Where the tables are printed.
    manifest
        The experiment.
    record
        Whether the report is recorded in MLflow.
    scored
        Folder of external scores that are recorded with it.
    """
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report

    results = manifest.results()
    tables = tabulate(results)
    report_folder = write_report(tables, HERE)
    if record:
        _record_external(manifest, results.n_failed, report_folder, scored)
    print_tables(console, tables.parts, report_folder)


def _record_external(
    manifest: Manifest, n_failed: int, report_folder: Path, scored: CellFolder | None
) -> None:
    """Record external scores and their report in MLflow; say what to do where that fails."""
    from bench.tracking.tracker import Tracker

    set_aside_broken_store()
    tracker = Tracker(manifest, HERE)
    try:
        tracker.connect()
    except BenchError as error:
        warn(
            f"{error}; the scores and the report are kept, and "
            f"bench track {manifest.experiment.name} records them"
        )
        return
    if scored:
        tracker.finish(scored)
    tracker.close(n_failed, report_folder)
    if tracker.trouble:
        warn(tracker.trouble)


def set_aside_broken_store() -> None:
    """Set the default MLflow store aside where it is broken, and say so."""
    from bench.tracking import default_store

    set_aside = default_store.set_aside_if_broken(HERE)
    if set_aside:
        warn(set_aside)
