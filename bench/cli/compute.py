"""Cells computed with their progress on the terminal, for the commands that compute."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.plan.cells import Cell
    from bench.runner.job import Job
    from bench.runner.workers import Workers
    from bench.store.cell_folder import CellFolder
    from bench.store.listening import ListeningClip


@dataclass(frozen=True)
class Tally:
    """How many of the pending cells were computed here, done by another process, or failed."""

    computed: int = 0
    by_others: int = 0
    failed: int = 0


@contextlib.contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Print a message and end with status 130 on Ctrl-C, and on SIGTERM, as clusters send it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print(message, file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def job_of(
    runs: Path,
    data: Path,
    workers: Workers,
    clips: Sequence[ListeningClip] = (),
    keep_estimates: bool = False,
) -> Job:
    """Return the settings with which each cell of a run is computed.

    Parameters
    ----------
    runs
        The folder of the cells.
    data
        The folder of the corpora.
    workers
        Where the cells run.
    clips
        The clips to listen to.
    keep_estimates
        Whether the estimates of all tracks stay in the cell's folder.
    """
    from bench import provenance
    from bench.runner.job import Job
    from bench.store.files import make_folder, server_time

    make_folder(runs)
    return Job(
        runs=runs.resolve(),
        data=data.resolve(),
        device=workers.device,
        n_threads=workers.n_threads,
        commit=provenance.commit(),
        began=server_time(runs),
        keep_estimates=keep_estimates,
        clips=clips,
        modules=Path.cwd(),
        trainer_options=workers.trainer_options,
    )


def compute_cells(
    job: Job,
    pending: Sequence[CellFolder],
    workers: Workers,
    console: Console,
    on_begin: Callable[[CellFolder], None] = lambda _: None,
    on_end: Callable[[CellFolder], None] = lambda _: None,
) -> Tally:
    """Run cells in this order, and show their progress.

    Parameters
    ----------
    job
        Settings of the run.
    pending
        Folders of the cells.
    workers
        Where the cells run.
    console
        Where the progress is shown.
    on_begin, on_end
        Called with the folder of each cell that begins, and of each that has ended.

    Raises
    ------
    BenchError
        A folder can no longer be written, or the workers have gone. What is finished is kept.
    """
    from bench.cli.progress import Monitor
    from bench.runner import executor

    folder_of = {id(folder.cell): folder for folder in pending}
    counts = {"done": 0, "found": 0, "failed": 0}
    words = {"done": "done", "found": "done by another process", "failed": "failed: "}
    with Monitor(console, len(pending)) as monitor:

        def begin(cell: Cell) -> None:
            monitor.begin(folder_of[id(cell)])
            on_begin(folder_of[id(cell)])

        cells = [folder.cell for folder in pending]
        for cell, result in executor.run_cells_of(job, cells, workers, begin):
            folder = folder_of[id(cell)]
            if result.status == "stopped":
                raise BenchError(
                    f"{result.why}; stopped at {cell.name}; what is finished is kept, and the "
                    "same command goes on"
                )
            state = folder.state_after(job.began)  # one from before is of an earlier run
            if result.status == "failed" and state.get("stage") != "failed":
                folder.fail(result.why, result.why)  # its own process was killed
            counts[result.status] += 1
            monitor.end(folder, words[result.status] + result.why)
            on_end(folder)
    return Tally(counts["done"], counts["found"], counts["failed"])
