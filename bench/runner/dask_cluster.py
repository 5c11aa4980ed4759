"""Cells on the workers of a Dask cluster: local processes, jobs of SLURM, or any scheduler's."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from bench.errors import BenchError, exception_text
from bench.plan.cells import Cell
from bench.runner.failure import causes
from bench.runner.job import JobResult
from bench.runner.slurm import slurm_cluster
from bench.runner.workers import Workers

#: Polling interval in seconds: how often to look again at a cell that another process computes.
BUSY_POLL_S = 0.5
#: Polling interval in seconds: how often to look for new workers while cells run.
NEW_WORKERS_POLL_S = 2.0
#: Resource that a Dask worker with a GPU offers, and that a cell which is faster on one asks for.
GPU = {"GPU": 1}
#: First statement of a local worker: Ctrl-C in the terminal is for the parent, which ends them.
IGNORE_INTERRUPT = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
#: How Python starts the processes of local workers, where the system can.
FORKSERVER = "forkserver"
#: Time in seconds for which local workers may fail to start, one after the other.
START_LIMIT_S = 5.0
#: Number of times that the worker of a cell may be killed before the cell counts as failed.
DEATHS = 2
#: The same limit for jobs of SLURM, which also end at their time limit.
DEATHS_OF_JOBS = 30


@contextlib.contextmanager
def connected(
    workers: Workers, preload: Sequence[str] = ()
) -> Iterator[tuple[Any, Callable[[], None]]]:
    """Yield a Dask client of the workers.

    Local workers and SLURM's jobs are ended at the end; those of another scheduler are left alone.
    With the client comes a function to call while cells run. For SLURM it submits jobs in place of
    those that have ended; for local workers it raises an error if none can start; for any other
    scheduler it does nothing.

    Parameters
    ----------
    workers
        Where the cells run.
    preload
        Modules that local workers need. One process imports them, and the workers are its forks:
        they start at once, also in place of one that died, and share the modules' memory.

    Raises
    ------
    BenchError
        No scheduler answers, or SLURM cannot be asked.
    """
    import dask
    from dask.distributed import Client

    n_deaths = DEATHS_OF_JOBS if workers.scheduler == "slurm" else DEATHS
    limits = {f"{name}_NUM_THREADS": str(workers.n_threads) for name in ("OMP", "MKL", "OPENBLAS")}
    settings: dict[str, Any] = {
        "distributed.nanny.pre-spawn-environ": limits,
        "distributed.scheduler.allowed-failures": n_deaths,
        "distributed.logging.distributed": "critical",
        "distributed.worker.daemon": False,
        "distributed.worker.preload": [IGNORE_INTERRUPT],
        # Dask's monitoring of itself takes several percent of a core, and nothing here reads it.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.admin.tick.interval": "1s",
    }
    if FORKSERVER in multiprocessing.get_all_start_methods():
        settings["distributed.worker.multiprocessing-method"] = FORKSERVER
    if not workers.scheduler:
        # A machine that wakes from sleep has heard of none of its workers for long. They live, and
        # one that has ended is known by its connection.
        settings["distributed.scheduler.worker-ttl"] = None
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("distributed", "asyncio", "tornado")):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised in one line
    with dask.config.set(settings):
        if not workers.scheduler:
            with _local(workers, preload, limits) as cluster, Client(cluster) as client:
                yield client, _LocalWorkers(cluster).check
        elif workers.scheduler == "slurm":
            with (
                slurm_cluster(workers.n_workers) as (cluster, keep_jobs),
                Client(cluster) as client,
            ):
                yield client, keep_jobs
        else:
            try:
                client = Client(workers.scheduler, timeout=10)
            except (OSError, ValueError, ImportError) as error:
                raise BenchError(
                    f"no Dask scheduler answers at {workers.scheduler} "
                    f"({str(error).splitlines()[0]}); start one: dask scheduler --host 127.0.0.1"
                ) from None
            with client:
                yield client, _nothing


def _nothing() -> None:
    """Do nothing."""


def _local(workers: Workers, preload: Sequence[str], limits: Mapping[str, str]) -> Any:
    """Return a cluster of local workers; the first of them offer the GPUs of one training each."""
    from dask.distributed import LocalCluster
    from distributed.utils import get_mp_context

    if FORKSERVER in multiprocessing.get_all_start_methods():
        context = get_mp_context()  # Dask names modules of its own for the server, once
        context.set_forkserver_preload(["distributed", *preload])
    cluster = LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
    n_each = workers.trainer_options.get("devices", 1)  # GPUs of one training
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")  # numbers or names of those that we may use
    gpus = shown.split(",") if shown else [str(n) for n in range(workers.n_gpus)]
    for i in range(workers.n_workers):
        spec = {**cluster.new_spec, "options": dict(cluster.new_spec["options"])}
        # Else a fork has the environment in which its server was started.
        spec["options"]["env"] = {**os.environ, **limits}
        if i < workers.n_gpus // n_each:
            visible = ",".join(gpus[i * n_each : (i + 1) * n_each])
            spec["options"]["resources"] = GPU
            spec["options"]["env"]["CUDA_VISIBLE_DEVICES"] = visible
        cluster.worker_spec[i] = spec
    cluster.scale(workers.n_workers)
    return cluster


class _LocalWorkers:
    """Watch over the processes of a local cluster.

    Parameters
    ----------
    cluster
        The cluster, as `_local` returns it.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._failed_at: float | None = None

    def check(self) -> None:
        """Go on if a worker runs or may still start.

        Raises
        ------
        BenchError
            No worker has been able to start for `START_LIMIT_S`.
        """
        from distributed import Status

        failed = [w for w in self._cluster.workers.values() if w.status == Status.failed]
        if not failed or len(failed) < len(self._cluster.workers):
            self._failed_at = None
        elif self._failed_at is None:
            self._failed_at = time.monotonic()
        elif time.monotonic() - self._failed_at > START_LIMIT_S:
            try:
                self._cluster.sync(failed[0].start)  # raises why it failed
            except Exception as error:  # noqa: BLE001 - whatever kept it from starting
                *_, first = causes(error)
                raise BenchError(
                    f"no worker process can be started here ({exception_text(first)}); "
                    "--workers 0 computes in the command's own process"
                ) from None


def run_on(
    client: Any,
    work: Callable[[Cell], JobResult],
    cells: Sequence[Cell],
    on_begin: Callable[[Cell], None],
    on_gpu: Callable[[Cell], bool],
    keep_workers: Callable[[], None] = _nothing,
) -> Iterator[tuple[Cell, JobResult]]:
    """Compute cells on the workers of a client; yield each with how it ended.

    A worker has no queue of cells: one that dies takes with it the cell that it computes, and no
    other.

    Parameters
    ----------
    client
        Client of the workers.
    work
        Computes a cell, in a worker.
    cells
        Cells in the order in which they should begin.
    on_begin
        Called with each cell that is sent to a worker.
    on_gpu
        Tells whether a cell waits for a worker that offers a GPU.
    keep_workers
        Called again and again while cells run or wait: replaces jobs of SLURM that have ended, or
        raises an error where no worker of this machine is left.

    Raises
    ------
    BenchError
        The workers cannot run the suite, or none can be had any more.
    """
    from dask.distributed import wait

    waiting = deque((0.0, cell) for cell in cells)
    running: dict[Any, Cell] = {}
    while waiting or running:
        keep_workers()
        ready = [item for item in waiting if item[0] <= time.monotonic()]
        slots = _free_slots(client, [*running.values(), *(cell for _, cell in ready)], on_gpu)
        for cell in running.values():
            slots[on_gpu(cell)] -= 1
        for item in ready:
            if max(slots.values()) <= 0:
                break
            cell = item[1]
            if slots[on_gpu(cell)] > 0:
                slots[on_gpu(cell)] -= 1
                waiting.remove(item)
                wanted = GPU if on_gpu(cell) else None
                running[client.submit(work, cell, pure=False, resources=wanted)] = cell
                on_begin(cell)
        if running:
            pause = BUSY_POLL_S if any(due > 0 for due, _ in waiting) else NEW_WORKERS_POLL_S
            with contextlib.suppress(TimeoutError):
                wait(list(running), timeout=pause, return_when="FIRST_COMPLETED")
        else:
            time.sleep(BUSY_POLL_S)
        for future in [future for future in running if future.done()]:
            cell, result = running.pop(future), _result_of(future)
            if result.status == "busy":
                waiting.append((time.monotonic() + BUSY_POLL_S, cell))
            else:
                yield cell, result


def _free_slots(
    client: Any, cells: Iterable[Cell], on_gpu: Callable[[Cell], bool]
) -> dict[bool, int]:
    """Return the number of cells that the workers can compute at once, on a GPU (True) or not.

    It is 1 while there is no worker, since a cluster that adapts to its load grows only when work
    is waiting; and 1 for cells that ask for a GPU while no worker offers one.

    Parameters
    ----------
    client
        Client of the workers.
    cells
        The cells that run or could begin now. Those among them that ask for a GPU have the workers
        that offer one to themselves.
    on_gpu
        Tells whether a cell asks for a GPU.

    Raises
    ------
    BenchError
        A worker has several threads: cells of one process would draw from one another's random
        numbers.
    """
    workers = client.scheduler_info()["workers"].values()
    several = [worker for worker in workers if worker["nthreads"] > 1]
    if several:
        raise BenchError(
            f"the Dask worker {several[0]['name']} has {several[0]['nthreads']} threads, and cells "
            "that share a process draw from one another's random numbers: start one worker a core "
            "by --nthreads 1"
        )
    n_threads = sum(worker["nthreads"] for worker in workers)
    n_gpus = int(sum(worker["resources"].get("GPU", 0) for worker in workers))
    n_reserved = min(n_gpus, sum(map(on_gpu, cells)))
    return {True: max(1, n_gpus), False: n_threads - n_reserved if workers else 1}


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the errors of a scheduler that has gone into one line.

    Raises
    ------
    BenchError
        The scheduler has gone.
    """
    from distributed.client import ClosedClientError

    try:
        yield
    except (OSError, CancelledError, ClosedClientError):
        raise BenchError(
            "the Dask scheduler has gone; what is finished is kept, and the same command goes on "
            "when it is back"
        ) from None


def _result_of(future: Any) -> JobResult:
    """Return how the work on a cell ended.

    Raises
    ------
    BenchError
        The workers cannot run the suite.
    CancelledError
        The scheduler has dropped the task, or has gone.
    """
    from dask.distributed import KilledWorker

    if future.status == "finished":
        result: JobResult = future.result()
        return result
    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            n_times = error.allowed_failures + 1
            return JobResult("failed", f"its worker process was ended {n_times} times")
        raise BenchError(
            f"the workers cannot run the suite ({type(error).__name__}: {error}); install the same "
            "version there"
        )
    raise CancelledError
