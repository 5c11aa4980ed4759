"""A whole run of an experiment: its cells, their runs in MLflow, its report and its tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.runner.plan import Cell
    from bench.runner.results import Results
    from bench.runner.store import CellFolder

#: Below the working directory.
RUNS, REPORTS, EXPERIMENTS = Path("runs"), Path("reports"), Path("experiments")


def prepare(folder: Path) -> None:
    """Make the folder that will be written at the end, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"{folder} cannot be written: {error.strerror}; nothing was run") from None


def compute(
    found: Results,
    pending: list[CellFolder],
    data: Path,
    device: str,
    workers: int,
    threads: int,
    console: Console,
) -> int:
    """Run the pending cells, record all in MLflow, write the report; return how many failed."""
    from bench import provenance
    from bench.datasets import open_dataset
    from bench.progress import Monitor
    from bench.report.write import write
    from bench.runner import cluster
    from bench.runner.cell import Job
    from bench.tracking import store
    from bench.tracking.tracker import Tracker

    behind = store.unrecorded(found, Path())
    dataset = open_dataset(found.experiment.dataset, data)
    if not pending and not behind:
        show_tables(console, found, write(found, REPORTS, dataset))
        return 0
    tracker = Tracker(found, Path())
    for folder in behind:
        tracker.finish(folder)
    by_cell = {id(folder.cell): folder for folder in pending}
    job = Job(RUNS.resolve(), data.resolve(), device, threads, provenance.commit())
    failed = 0
    cells = ordered([folder.cell for folder in pending])
    try:
        with Monitor(console, pending, tracker.follow) as monitor:
            for cell, why in cluster.run(job, cells, workers, threads):
                folder = by_cell[id(cell)]
                if why is not None and folder.error() is None:
                    folder.fail(why, why)  # its process could not
                monitor.end(folder, why)
                with monitor.lock:
                    tracker.finish(folder)
                failed += why is not None
    except KeyboardInterrupt:
        tracker.interrupt()
        raise
    report_folder = write(found, REPORTS, dataset)
    tracker.close(failed, report_folder)
    if tracker.trouble:
        print(f"bench: {tracker.trouble}", file=sys.stderr)
    show_tables(console, found, report_folder)
    return failed


def ordered(cells: list[Cell]) -> list[Cell]:
    """Return cells with those that train first, so that no long one begins last.

    One that shares the training of another follows, so that no worker waits for it.
    """
    return sorted(cells, key=lambda cell: (not cell.learns, cell.trainer is not cell))


def show_tables(console: Console, found: Results, folder: Path) -> None:
    """Print the tables of an experiment, and where its report lies."""
    from bench.report.rows import long_rows
    from bench.report.terminal import tables

    for table in tables(found, long_rows(found)):
        console.print(table)
    print(f"report: {folder}")
