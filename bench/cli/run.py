"""``bench run``: what is missing of an experiment is computed, recorded and reported."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.cli.compute import Tally, compute_cells, interruptible, job_of
from bench.cli.options import HERE, DataOption, complete_file, experiment_path, report_folder
from bench.cli.tables import prepare, prepare_report, print_tables, set_aside_broken_store
from bench.cli.warn import warn
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.plan.cells import Cell
    from bench.runner.workers import Workers
    from bench.store.cell_folder import CellFolder
    from bench.store.listening import ListeningClip
    from bench.store.manifest import Manifest
    from bench.store.results import Outcome
    from bench.store.status import CellStatus


def run(
    experiment: Annotated[
        Path,
        typer.Argument(
            help="An experiment file, or its name in experiments/.", autocompletion=complete_file
        ),
    ],
    data: DataOption = Path("data"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Local processes, or jobs of SLURM; 0: all in this one. Default: one a core.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    scheduler: Annotated[
        str,
        typer.Option(help="Address of a Dask scheduler, such as tcp://127.0.0.1:8786; or slurm."),
    ] = "",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try cells again that failed before.")
    ] = False,
    trainer: Annotated[
        list[str] | None,
        typer.Option(help="key=value for Lightning's Trainer, as devices=4; repeatable."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("-o", help="key=value that replaces a value of the file; repeatable."),
    ] = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="A report whose finished cells are not computed again; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be computed, and stop.")
    ] = False,
) -> None:
    """Run what is missing of an experiment, and write its report.

    Cells that failed before are left alone, unless --retry-failed is given.
    """
    from bench import provenance
    from bench.cli.progress import shown_stage
    from bench.datasets import open_dataset
    from bench.plan import experiment_file
    from bench.plan.cells import cells as cells_of
    from bench.runner import hosts
    from bench.runner.workers import parse_workers
    from bench.store import owner
    from bench.store.cell_folder import CellFolder
    from bench.store.files import server_time
    from bench.store.manifest import load_manifest, save_manifest

    console = Console()
    provenance.code()  # as it is now, whatever is edited while the cells are computed
    path = experiment_path(experiment)
    spec = experiment_file.read_experiment(path, override or ())
    file = owner.file_in(HERE, path)
    try:
        replaced = owner.check_file(HERE, spec.name, file, override or ())
    except BenchError as refusal:
        if not dry_run:
            raise
        replaced = f"this is refused: {refusal}"
    dataset = open_dataset(spec.dataset, data)
    with shown_stage(console, "reading the corpus"):
        cells = cells_of(spec, dataset)
    taken = _take(reuse or [], cells, write=not dry_run)
    folders = [CellFolder(HERE.runs, cell) for cell in cells]
    # A cell that fails after this moment, on whatever host, has failed in this run.
    began = -math.inf
    if not dry_run and HERE.runs.is_dir():
        prepare(HERE.runs)
        began = server_time(HERE.runs)
    plan = _plan(folders, spec.name, taken, retry_failed)
    n_pending = len(plan.pending)
    where = parse_workers(workers, threads, scheduler, device, n_pending, trainer or [])
    if replaced:
        print(f"without --dry-run: {replaced}" if dry_run else replaced)
    if dry_run:
        _print_plan(plan, retry_failed)
        return
    if where.node > 0:
        with interruptible(f"bench: host {where.node} stopped"):
            job = dataclasses.replace(job_of(HERE.runs, data, where), began=began)
            n_joined = hosts.join(job, plan.pending)
        print(f"host {where.node}: joined {n_joined} trainings, and the first host has the results")
        return
    prepare_report(spec.name)
    prepare(HERE.runs)
    save_manifest(HERE.runs, spec, dataset, cells, override or [], file)
    for folder, status in zip(folders, plan.statuses, strict=True):
        if status.is_damaged:
            print(f"{folder.cell.name}: {status.why}")
    kept = "bench: stopped; finished cells and checkpoints are kept, the same command goes on"
    with interruptible(kept):
        manifest = load_manifest(HERE.runs, spec.name)
        tally = _compute(manifest, plan, data, where, console)
    if spec.keep_estimates:
        _print_without_estimates(folders)
    _print_summary(plan, tally, spec.name)
    raise typer.Exit(1 if plan.n_failed + tally.failed else 0)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What a run finds of its cells, and what it will compute.

    Attributes
    ----------
    folders
        The folder of each cell.
    outcomes, statuses
        What each folder holds.
    taken
        Fingerprints of the cells whose scores come from another report.
    pending
        Folders of the cells to compute.
    n_failed
        Number of cells that failed before and are left alone.
    """

    folders: Sequence[CellFolder]
    outcomes: Sequence[Outcome]
    statuses: Sequence[CellStatus]
    taken: Set[str]
    pending: Sequence[CellFolder]
    n_failed: int

    @property
    def n_reused(self) -> int:
        """Number of cells that are done, here or in another report."""
        return len(self.folders) - len(self.pending) - self.n_failed


def _plan(folders: Sequence[CellFolder], name: str, taken: Set[str], retry_failed: bool) -> _Plan:
    """Return what is to be computed of an experiment; see `_Plan`."""
    from bench.store.results import read_outcome
    from bench.store.status import cell_status

    outcomes = [read_outcome(folder, name) for folder in folders]
    statuses = list(map(cell_status, folders, outcomes))
    of_folders = list(zip(folders, statuses, strict=True))
    not_taken = [(f, status) for f, status in of_folders if f.cell.fingerprint not in taken]
    left_alone = {"done"} if retry_failed else {"done", "failed"}
    pending = [folder for folder, status in not_taken if status.state not in left_alone]
    n_failed = sum(status.state == "failed" for _, status in not_taken)
    return _Plan(folders, outcomes, statuses, taken, pending, 0 if retry_failed else n_failed)


def _take(reports: Sequence[Path], cells: Sequence[Cell], *, write: bool) -> set[str]:
    """Take finished cells out of reports, print how many, and return their fingerprints."""
    taken: set[str] = set()
    for report in reports:
        from bench.report.reuse import take_cells

        folder = report_folder(report)
        if write:
            prepare(HERE.runs)
        of_report = take_cells(folder, cells, HERE.runs, write=write) - taken
        none = "" if of_report else ": all that it has of this experiment is in runs/ already"
        condition = "" if write else "without --dry-run: "
        print(f"{condition}{len(of_report)} cells taken from {folder}{none}")
        taken |= of_report
    return taken


def _print_without_estimates(folders: Sequence[CellFolder]) -> None:
    """Print which finished cells have no estimates, though the experiment asks to keep them."""
    from bench.store.estimates import has_kept

    for folder in folders:
        if folder.is_done() and not has_kept(folder):
            print(
                f"{folder.cell.name}: has no estimates, since its scores were there before "
                f"keep_estimates was set; to have them, remove {folder.path / 'scores'} and run "
                "again: it is separated and scored anew"
            )


def _print_plan(plan: _Plan, retry_failed: bool) -> None:
    """Print each cell, whether it would be computed, and why."""
    for folder, status in zip(plan.folders, plan.statuses, strict=True):
        words = {"done": "reused: ", "running": "computed by another process: "}.get(status.state)
        if status.state == "failed":
            words = "to compute: failed before: " if retry_failed else "left alone: failed before: "
        text = f"{folder.cell.name}: {words or 'to compute: '}{status.why}"
        if folder.cell.fingerprint in plan.taken:
            text = f"{folder.cell.name}: reused: a report has its scores"
        print(f"{folder.cell.fingerprint[:12]}  {text}")
    rest = f", {plan.n_failed} failed before" if plan.n_failed else ""
    counts = f"{len(plan.pending)} to compute, {plan.n_reused} reused{rest}"
    print(f"{len(plan.folders)} cells: {counts}")


def _print_summary(plan: _Plan, tally: Tally, name: str) -> None:
    """Print what a run has computed, and where to look on."""
    n_failed = plan.n_failed + tally.failed
    print(f"compare the runs: bench ui {name}")
    if n_failed:
        print(f"see why cells failed: bench status {name} --traceback")
    if plan.n_failed:
        print(f"{plan.n_failed} failed before and were not tried again: --retry-failed tries them")
    print(
        f"{len(plan.folders)} cells: {tally.computed} computed, "
        f"{plan.n_reused + tally.by_others} reused, {n_failed} failed"
    )


def _compute(
    manifest: Manifest, plan: _Plan, data: Path, workers: Workers, console: Console
) -> Tally:
    """Run the pending cells, record all cells in MLflow, write the report and print its tables.

    Parameters
    ----------
    manifest
        The cells of the experiment.
    plan
        The cells to run. Outcomes of cells that are done are not read again.
    data
        The folder that holds the corpora.
    workers
        Where the cells run.
    console
        Where the tables are printed.

    Raises
    ------
    BenchError
        A folder can no longer be written, or the workers have gone. What is finished is kept.
    """
    from bench.cli.progress import shown_stage
    from bench.datasets import open_dataset
    from bench.report.tabulate import read_parts, tabulate
    from bench.report.write import is_current, write_report
    from bench.runner.order import longest_first
    from bench.store.listening import prepare_clips
    from bench.tracking import address
    from bench.tracking.recorder import Recorder
    from bench.tracking.tracker import Tracker

    results = manifest.results(plan.outcomes)
    set_aside_broken_store()
    unrecorded = address.unrecorded(results, HERE)
    if not plan.pending and not unrecorded and address.are_rows_recorded(manifest, HERE):
        if is_current(results, HERE):
            folder = HERE.reports / results.experiment.name
            print_tables(console, read_parts(results, folder), folder)
        else:
            tables = tabulate(results)
            print_tables(console, tables.parts, write_report(tables, HERE))
        return Tally()
    tracker = Tracker(manifest, HERE)
    tracker.open()
    if tracker.trouble:
        warn(tracker.trouble)
    clips: Sequence[ListeningClip] = ()
    if plan.pending and manifest.experiment.examples:
        with shown_stage(console, "choosing tracks to listen to"):
            dataset = open_dataset(manifest.experiment.dataset, data)
            clips = prepare_clips(HERE.runs, dataset, plan.pending[0].cell.digests["test"])
    keep = manifest.experiment.keep_estimates
    job = job_of(HERE.runs, data, workers, clips, keep)
    ordered = longest_first(plan.pending, results.outcomes)
    try:
        with contextlib.ExitStack() as last, Recorder(tracker, unrecorded) as recorder:
            tally = compute_cells(job, ordered, workers, console, recorder.begin, recorder.end)
            last.enter_context(shown_stage(console, "recording in MLflow what is left"))
        results = manifest.results(results.outcomes)
        with shown_stage(console, "writing the report"):
            tables = tabulate(results)
            report_folder = write_report(tables, HERE)
        with shown_stage(console, "recording the report in MLflow"):
            tracker.close(results.n_failed, report_folder)
    except (KeyboardInterrupt, BenchError):
        tracker.interrupt()
        raise
    if tracker.trouble:
        warn(tracker.trouble)
    print_tables(console, tables.parts, report_folder)
    return tally
