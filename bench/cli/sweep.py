"""A whole run of an experiment: its cells, their runs in MLflow, its report and its tables."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.plan.cells import Cell
    from bench.plan.experiment import Experiment
    from bench.report.tabulate import ReportTables
    from bench.runner.cell import Job
    from bench.runner.executor import Place
    from bench.store.cell_folder import CellFolder
    from bench.store.external import ExternalRow
    from bench.store.manifest import Manifest
    from bench.store.results import Outcome
    from bench.tracking.tracker import Tracker

#: Below the working directory.
RUNS, REPORTS, EXPERIMENTS = Path("runs"), Path("reports"), Path("experiments")


@dataclass(frozen=True)
class Tally:
    """How the pending cells of a run came out: computed here, by others, or failed."""

    computed: int
    found: int
    failed: int


def prepare(folder: Path) -> None:
    """Make the folder that will be written at the end, before any work is done.

    Raises
    ------
    BenchError
        It cannot be made, or not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(f"{folder} cannot be written: {error.strerror}; nothing was run") from None


def job_of(experiment: Experiment, data: Path, place: Place) -> Job:
    """Return what each cell of an experiment is done with."""
    from bench import provenance
    from bench.runner.cell import Job

    return Job(
        runs=RUNS.resolve(),
        data=data.resolve(),
        device=place.device,
        threads=place.threads,
        commit=provenance.commit(),
        began=time.time(),
        keep_estimates=experiment.keep_estimates,
        trainer_options=place.trainer_options,
    )


def compute(
    manifest: Manifest,
    outcomes: Sequence[Outcome],
    pending: Sequence[CellFolder],
    data: Path,
    place: Place,
    console: Console,
) -> Tally:
    """Run the pending cells, record all in MLflow, write the report; return how it went.

    `outcomes` are those that were read before, of which the finished are not read again.

    Raises
    ------
    BenchError
        A folder can no longer be written, or the workers have gone. What is finished is kept.
    """
    from bench.datasets import open_dataset
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report
    from bench.tracking import store
    from bench.tracking.tracker import Tracker

    results = manifest.results(outcomes)
    behind = store.unrecorded(results, Path())
    dataset = open_dataset(manifest.experiment.dataset, data)
    if not pending and not behind:
        tables = tabulate(results)
        show_tables(console, tables, write_report(tables, REPORTS, dataset, RUNS))
        return Tally(0, 0, 0)
    tracker = Tracker(manifest, Path())
    tracker.open()
    if tracker.trouble:
        print(f"bench: {tracker.trouble}", file=sys.stderr, flush=True)
    job = job_of(manifest.experiment, data, place)
    try:
        tally = run_cells(job, ordered(pending, manifest.folders), place, tracker, behind, console)
    except KeyboardInterrupt:
        tracker.interrupt()
        raise
    results = manifest.results(results.outcomes)
    tables = tabulate(results)
    report_folder = write_report(tables, REPORTS, dataset, RUNS)
    n_failed = sum(outcome.status == "failed" for outcome in results.outcomes)
    tracker.close(n_failed, report_folder)
    if tracker.trouble:
        print(f"bench: {tracker.trouble}", file=sys.stderr)
    show_tables(console, tables, report_folder)
    return tally


def run_cells(
    job: Job,
    pending: Sequence[CellFolder],
    place: Place,
    tracker: Tracker,
    behind: Sequence[CellFolder],
    console: Console,
) -> Tally:
    """Run cells in this order, and record them and those that are `behind`."""
    from bench.cli.progress import Monitor
    from bench.runner import executor
    from bench.tracking.recorder import Recorder

    by_cell = {id(folder.cell): folder for folder in pending}
    counts = {"done": 0, "found": 0, "failed": 0}
    words = {"done": "done", "found": "done by another process", "failed": "failed: "}
    with Recorder(tracker, behind) as recorder, Monitor(console, len(pending)) as monitor:

        def begin(cell: Cell) -> None:
            monitor.begin(by_cell[id(cell)])
            recorder.begin(by_cell[id(cell)])

        cells = [folder.cell for folder in pending]
        for cell, outcome in executor.run(job, cells, place, begin):
            folder = by_cell[id(cell)]
            if outcome.status == "stopped":
                raise BenchError(
                    f"{outcome.why}; stopped at {cell.name}; what is finished is kept, and the "
                    "same command goes on"
                )
            if outcome.status == "failed" and folder.state().get("stage") != "failed":
                folder.fail(outcome.why, outcome.why)  # its process could not
            counts[outcome.status] += 1
            monitor.end(folder, words[outcome.status] + outcome.why)
            recorder.end(folder)
    return Tally(counts["done"], counts["found"], counts["failed"])


def ordered(pending: Sequence[CellFolder], folders: Sequence[CellFolder]) -> list[CellFolder]:
    """Return the pending cells with the longest first, so that none of them ends last alone.

    How long a cell takes is taken from the finished one of its method that shares most of its
    hyperparameters; where there is none it may be long, and one that learns more so. A cell that
    shares the training of another comes last, so that no worker waits for it.
    """
    known = [(folder.cell, seconds(folder)) for folder in folders if folder.is_done()]

    def key(folder: CellFolder) -> tuple[bool, float, bool]:
        cell = folder.cell
        near = [(alike(cell, other), s) for other, s in known if other.method == cell.method]
        expected = max(near)[1] if near else float("inf")
        return cell.training_cell is not cell, -expected, not cell.learns

    return sorted(pending, key=key)


def alike(cell: Cell, other: Cell) -> int:
    """Return how many hyperparameters two cells of a method share."""
    return sum(
        other.hyperparameters.get(name) == value for name, value in cell.hyperparameters.items()
    )


def seconds(folder: CellFolder) -> float:
    """Return how long a finished cell took, its training too."""
    facts = folder.score_facts(next(iter(folder.cell.protocols)))
    parts: Mapping[str, float | None] = {**facts, **facts.get("fit", {})}
    return sum(parts.get(name) or 0.0 for name in ("fit_s", "separate_s", "score_s"))


def show_external(console: Console, row: ExternalRow, record: bool) -> None:
    """Write the report of external scores, record them in MLflow if asked, print their tables."""
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report
    from bench.tracking.tracker import Tracker

    tables = tabulate(row.manifest.results())
    folder = write_report(tables, REPORTS)
    if record:
        tracker = Tracker(row.manifest, Path())
        tracker.open()
        tracker.finish(row.folder)
        tracker.close(0, folder)
        if tracker.trouble:
            print(f"bench: {tracker.trouble}", file=sys.stderr)
    show_tables(console, tables, folder)


def show_tables(console: Console, tables: ReportTables, folder: Path) -> None:
    """Print the tables of an experiment, and the folder of its report."""
    from bench.report.formats.terminal import terminal_tables

    for table in terminal_tables(tables):
        console.print(table)
    print(f"report: {folder}")
