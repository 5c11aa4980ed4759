"""Runs cells: in this process, on local workers, or on any Dask cluster."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from bench.methods import registry
from bench.plan.cells import Cell
from bench.runner import dask_cluster
from bench.runner.cell import compute
from bench.runner.job import Job, JobResult
from bench.runner.workers import Workers


def run_cells_of(
    job: Job, cells: Sequence[Cell], workers: Workers, on_begin: Callable[[Cell], None]
) -> Iterator[tuple[Cell, JobResult]]:
    """Compute cells, and yield each with how it ended, in the order in which they end.

    Parameters
    ----------
    job
        Settings of the run.
    cells
        Cells in the order in which they should begin. One that another process computes is looked
        at again later.
    workers
        Where the cells run.
    on_begin
        Called with each cell that begins.

    Raises
    ------
    BenchError
        The workers cannot be had, or cannot run the suite, or their scheduler has gone.
    """
    work = functools.partial(compute, job)
    if workers.n_workers == 0 and not workers.scheduler:
        yield from _in_process(work, cells, on_begin)
        return
    on_gpu = {
        id(c) for c in cells if job.device == "cuda" and registry.find_method(c.method).ON_GPU
    }
    networks = any(registry.find_method(cell.method).ON_GPU for cell in cells)
    preload = ["bench.runner.cell", *(["pytorch_lightning"] if networks else [])]
    with (
        dask_cluster.connected(workers, preload) as (client, keep_workers),
        dask_cluster.one_line_errors(),
    ):
        yield from dask_cluster.run_on(
            client, work, cells, on_begin, lambda cell: id(cell) in on_gpu, keep_workers
        )


def _in_process(
    work: Callable[[Cell], JobResult], cells: Sequence[Cell], on_begin: Callable[[Cell], None]
) -> Iterator[tuple[Cell, JobResult]]:
    """Compute cells in this process; yield each with how it ended."""
    waiting, n_busy = deque(cells), 0
    while waiting:
        cell = waiting.popleft()
        on_begin(cell)
        result = work(cell)
        if result.status != "busy":
            n_busy = 0
            yield cell, result
            continue
        waiting.append(cell)
        n_busy += 1
        if n_busy >= len(waiting):  # other processes compute all that is left
            time.sleep(dask_cluster.BUSY_POLL_S)
