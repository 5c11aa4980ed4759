"""Where work runs: in this process, on local workers, or on any Dask cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import torch

from bench.errors import BenchError
from bench.methods import registry
from bench.plan.cells import Cell
from bench.runner.cell import Job, Outcome, device_here
from bench.runner.hosts import rank

#: Seconds until a cell that another process is at is looked at again, and new workers for.
POLL_S, JOINED_S = 0.5, 2.0
#: What a Dask worker with a GPU offers, and a cell that is faster on one asks for.
GPU = {"GPU": 1}
DEVICES = ("auto", "cpu", "cuda")
#: What a local worker does first: a terminal's Ctrl-C is for the parent, which ends the workers.
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
STRATEGIES = ("ddp_spawn", "ddp_fork")
#: A cell whose worker is killed as often as this, and once more, has failed.
DEATHS = 2

Ended = Iterator[tuple[Cell, Outcome]]
Work = Callable[[Cell], Outcome]


@dataclass(frozen=True)
class Place:
    """Where work runs.

    Attributes
    ----------
    workers
        Local processes, or jobs of SLURM; 0 does all in this process.
    threads
        Of BLAS and PyTorch in each.
    scheduler
        Address of a Dask scheduler; ``slurm``: one that asks SLURM for workers; empty: local.
    device
        ``cpu``; ``cuda``: a cell that is faster on a GPU waits for a worker that offers one; or
        ``auto``: what each worker finds, on workers elsewhere.
    n_gpus
        That local workers share.
    trainer_options
        Settings for Lightning's Trainer, in each training.
    node
        Which of the hosts that train one model together this is; see `bench.runner.hosts`.
    """

    workers: int
    threads: int
    scheduler: str = ""
    device: str = "cpu"
    n_gpus: int = 0
    trainer_options: Mapping[str, Any] = field(default_factory=dict)
    node: int = 0


def place(
    workers: int | None,
    threads: int,
    scheduler: str,
    device: str,
    n_cells: int,
    trainer: Sequence[str] = (),
) -> Place:
    """Return where work runs by the words of the command line; a worker a core without `workers`.

    Raises
    ------
    BenchError
        The words do not go together, or the device is unknown or not here.
    """
    if device not in DEVICES:
        raise BenchError(f"no device {device!r}; known: {', '.join(DEVICES)}")
    if scheduler not in ("", "slurm") and workers is not None:
        raise BenchError(
            "--workers counts local processes or jobs of SLURM; with --scheduler ADDRESS all "
            "workers that have joined it work"
        )
    if workers is None:
        workers = max(1, min(len(os.sched_getaffinity(0)), n_cells))
    settings = trainer_settings(trainer)
    n_nodes = settings.get("num_nodes", 1)
    if n_nodes > 1 and (workers > 0 or scheduler):
        raise BenchError(
            f"--trainer num_nodes={n_nodes} needs --workers 0: each host has one process"
        )
    node = rank(n_nodes) if n_nodes > 1 else 0
    if scheduler:
        return Place(max(1, workers), threads, scheduler, device, trainer_options=settings)
    found = device_here(device)
    n_gpus = torch.cuda.device_count() if found == "cuda" else 0
    if found == "cuda" and settings.get("devices", 1) > n_gpus:
        raise BenchError(f"--trainer devices={settings['devices']}: there are {n_gpus} GPUs here")
    return Place(workers, threads, "", found, n_gpus, settings, node)


def trainer_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return the settings for Lightning's Trainer in ``key=value``.

    Several devices train one model in processes that are started from the worker's: a strategy
    that starts the whole program again would start the sweep again.

    Raises
    ------
    BenchError
        A key or value is none that leaves the numbers as they are.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in ("devices", "num_nodes") and value.isdecimal() and int(value) > 0:
            settings[key] = int(value)
        elif key == "strategy" and value in STRATEGIES:
            settings[key] = value
        else:
            raise BenchError(
                f"--trainer {word}: known are devices=N, num_nodes=N and "
                f"strategy={'|'.join(STRATEGIES)}"
            )
    if settings.get("devices", 1) * settings.get("num_nodes", 1) > 1:
        settings.setdefault("strategy", STRATEGIES[0])
    return settings


def run(job: Job, cells: Sequence[Cell], place: Place, begin: Callable[[Cell], None]) -> Ended:
    """Do a job on each cell; yield each with how it came out, as they end.

    Parameters
    ----------
    job
        Called with a cell, in this process or in a worker's.
    cells
        In the order in which they should begin. One that another process is at comes back later.
    place
        Where.
    begin
        Called with each cell that is handed out.

    Raises
    ------
    BenchError
        The workers cannot be had, or cannot run the suite, or their scheduler has gone.
    """
    if place.workers == 0 and not place.scheduler:
        yield from in_process(job, cells, begin)
        return
    with connected(place) as client, answering():
        gpu = {id(c) for c in cells if job.device == "cuda" and registry.find(c.method).ON_GPU}
        yield from on_dask(client, job, cells, begin, lambda cell: id(cell) in gpu)


def in_process(work: Work, cells: Sequence[Cell], begin: Callable[[Cell], None]) -> Ended:
    """Do work on each cell in this process."""
    waiting, in_vain = deque(cells), 0
    while waiting:
        cell = waiting.popleft()
        begin(cell)
        outcome = work(cell)
        if outcome.status != "busy":
            in_vain = 0
            yield cell, outcome
            continue
        waiting.append(cell)
        in_vain += 1
        if in_vain >= len(waiting):
            time.sleep(POLL_S)


@contextlib.contextmanager
def connected(place: Place) -> Iterator[Any]:
    """Connect to the workers of a place, started here where they must be, and ended with it."""
    import dask
    from dask.distributed import Client

    limits = {f"{name}_NUM_THREADS": str(place.threads) for name in ("OMP", "MKL", "OPENBLAS")}
    settings = {
        "distributed.nanny.pre-spawn-environ": limits,
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.logging.distributed": "critical",
        "distributed.worker.daemon": False,
        "distributed.worker.preload": [DEAF],
        # Dask's own watching of itself costs several percent of a core, and nobody looks.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.admin.tick.interval": "1s",
    }
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what they say we say in a line
    with dask.config.set(settings):
        if not place.scheduler:
            with local(place) as cluster, Client(cluster) as client:
                yield client
        elif place.scheduler == "slurm":
            with slurm(place.workers) as cluster, Client(cluster) as client:
                yield client
        else:
            try:
                client = Client(place.scheduler, timeout=10)
            except (OSError, ValueError, ImportError) as error:
                raise BenchError(
                    f"no Dask scheduler answers at {place.scheduler} "
                    f"({str(error).splitlines()[0]}); start one: dask scheduler --host 127.0.0.1"
                ) from None
            with client:
                yield client


def local(place: Place) -> Any:
    """Start local workers; as many as there are GPUs have one each, and offer it."""
    from dask.distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
    each = place.trainer_options.get("devices", 1)  # GPUs of a training
    for i in range(place.workers):
        spec = {**cluster.new_spec, "options": dict(cluster.new_spec["options"])}
        if i < place.n_gpus // each:
            seen = ",".join(str(i * each + k) for k in range(each))
            spec["options"] |= {"resources": GPU, "env": {"CUDA_VISIBLE_DEVICES": seen}}
        cluster.worker_spec[i] = spec
    cluster.scale(place.workers)
    return cluster


def slurm(jobs: int) -> Any:
    """Ask SLURM for workers, as the key ``jobqueue.slurm`` of Dask's settings says.

    Raises
    ------
    BenchError
        dask-jobqueue is not installed, or the settings do not say what a job is.
    """
    import dask

    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise BenchError(
            "--scheduler slurm needs dask-jobqueue: pip install 'singing-voice-bench[slurm]'"
        ) from None
    for key in ("cores", "memory"):
        if dask.config.get(f"jobqueue.slurm.{key}", None) is None:
            raise BenchError(
                f"--scheduler slurm: Dask's settings do not say {key} of a job; say it under "
                "jobqueue.slurm in a file of ~/.config/dask, or in one that DASK_CONFIG names"
            )
    cluster = SLURMCluster(scheduler_options={"dashboard_address": "127.0.0.1:0"})
    cluster.scale(jobs=jobs)
    return cluster


def on_dask(
    client: Any,
    work: Work,
    cells: Sequence[Cell],
    begin: Callable[[Cell], None],
    on_gpu: Callable[[Cell], bool],
) -> Ended:
    """Do work on each cell on the workers of a client, those `on_gpu` only where one is offered.

    No cell waits at a worker: one that dies takes down what it was doing, and no more.
    """
    from dask.distributed import wait

    waiting = deque((0.0, cell) for cell in cells)
    running: dict[Any, Cell] = {}
    while waiting or running:
        slots = free(client, [*running.values(), *(cell for _, cell in waiting)], on_gpu)
        for cell in running.values():
            slots[on_gpu(cell)] -= 1
        for item in [item for item in waiting if item[0] <= time.monotonic()]:
            if sum(slots.values()) <= 0:
                break
            cell = item[1]
            if slots[on_gpu(cell)] > 0:
                slots[on_gpu(cell)] -= 1
                waiting.remove(item)
                wanted = GPU if on_gpu(cell) else None
                running[client.submit(work, cell, pure=False, resources=wanted)] = cell
                begin(cell)
        if running:
            pause = POLL_S if any(due > 0 for due, _ in waiting) else JOINED_S
            with contextlib.suppress(TimeoutError):
                wait(list(running), timeout=pause, return_when="FIRST_COMPLETED")
        else:
            time.sleep(POLL_S)
        for future in [future for future in running if future.done()]:
            cell, outcome = running.pop(future), result(future)
            if outcome.status == "busy":
                waiting.append((time.monotonic() + POLL_S, cell))
            else:
                yield cell, outcome


def free(client: Any, cells: Iterable[Cell], on_gpu: Callable[[Cell], bool]) -> dict[bool, int]:
    """Return how many of the cells the workers can take at once, with a GPU (True) and without.

    One while there is no worker, so that a cluster that grows with its work has a reason to.
    """
    workers = client.scheduler_info()["workers"].values()
    n_threads = sum(worker["nthreads"] for worker in workers)
    n_gpus = int(sum(worker["resources"].get("GPU", 0) for worker in workers))
    reserved = min(n_gpus, sum(map(on_gpu, cells)))
    return {True: max(1, n_gpus), False: max(1, n_threads - reserved)}


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Say in one line that the scheduler has gone.

    Raises
    ------
    BenchError
        It has.
    """
    from distributed.client import ClosedClientError

    try:
        yield
    except (OSError, CancelledError, ClosedClientError):
        raise BenchError(
            "the Dask scheduler has gone; what is finished is kept, and the same command goes on "
            "when it is back"
        ) from None


def result(future: Any) -> Outcome:
    """Return how a cell came out whose task has ended.

    Raises
    ------
    BenchError
        The workers cannot do it.
    CancelledError
        The scheduler has dropped it, or has gone.
    """
    from dask.distributed import KilledWorker

    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            return Outcome("failed", f"its worker process was ended {DEATHS + 1} times")
        raise BenchError(
            f"the workers cannot run the suite ({type(error).__name__}: {error}); install the same "
            "version there"
        )
    raise CancelledError
