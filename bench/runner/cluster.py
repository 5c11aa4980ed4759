"""Where work runs: in this process, or on local workers of a Dask cluster."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.errors import BenchError
from bench.runner.plan import Cell

Work = Callable[[Cell], str | None]


def device(name: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BenchError
        CUDA is asked for and there is none.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise BenchError(f"no device {name!r}; known: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BenchError("--device cuda: PyTorch finds no CUDA device here; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def default_workers(n_cells: int) -> int:
    """Return a worker a core, but no more than cells."""
    return max(1, min(len(os.sched_getaffinity(0)), n_cells))


def run(
    work: Work, cells: Sequence[Cell], workers: int, threads: int
) -> Iterator[tuple[Cell, str | None]]:
    """Do `work` on each cell; yield each with None, or with why it failed, as they end.

    Parameters
    ----------
    work
        Called with a cell, in this process or in a worker's.
    cells
        In the order in which they should begin.
    workers
        Processes; 0 does all in this one, for debugging.
    threads
        Of BLAS and PyTorch in each.
    """
    if workers == 0:
        for cell in cells:
            yield cell, work(cell)
        return
    yield from run_on_dask(work, cells, workers, threads)


def run_on_dask(
    work: Work, cells: Sequence[Cell], workers: int, threads: int
) -> Iterator[tuple[Cell, str | None]]:
    """Do `work` on each cell in `workers` local processes."""
    import dask
    from dask.distributed import Client, LocalCluster, as_completed

    limits = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "MKL", "OPENBLAS")}
    settings = {
        "distributed.nanny.pre-spawn-environ": limits,
        "distributed.scheduler.allowed-failures": 0,
        "distributed.logging.distributed": "critical",
        "distributed.worker.daemon": False,
    }
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        with cluster, Client(cluster) as client:
            waiting = iter(cells)
            running: dict[Any, Cell] = {}

            def submit(cell: Cell) -> Any:
                future = client.submit(work, cell, pure=False)
                running[future] = cell
                return future

            # No cell waits on a worker: one that dies takes down what it was doing, and no more.
            done = as_completed([submit(cell) for cell in itertools.islice(waiting, workers)])
            for future in done:
                error = future.exception()
                why = "its worker process was ended" if error else future.result()
                yield running.pop(future), why
                for cell in itertools.islice(waiting, 1):
                    done.add(submit(cell))
