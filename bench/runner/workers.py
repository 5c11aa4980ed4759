"""Where cells run, as the options of the command line state it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.runner.hosts import rank
from bench.runner.job import check_device, device_here

STRATEGIES = ("ddp_spawn", "ddp_fork")


@dataclass(frozen=True)
class Workers:
    """The processes in which cells run.

    Attributes
    ----------
    n_workers
        Number of local processes, or of SLURM jobs; 0: all cells run in this process.
    n_threads
        Number of threads of BLAS and PyTorch in each process.
    scheduler
        Address of a Dask scheduler; ``slurm``: a scheduler that asks SLURM for workers; empty:
        local processes.
    device
        ``cpu``; ``cuda``: a cell that is faster on a GPU waits for a worker that offers one; or
        ``auto``: each worker uses a GPU where it has one.
    n_gpus
        Number of GPUs that local workers share.
    trainer_options
        Keyword arguments for Lightning's Trainer, in each training.
    node
        Rank of this host among those that train one model together; see `bench.runner.hosts`.
    """

    n_workers: int
    n_threads: int
    scheduler: str = ""
    device: str = "cpu"
    n_gpus: int = 0
    trainer_options: Mapping[str, Any] = field(default_factory=dict)
    node: int = 0


def parse_workers(
    n_workers: int | None,
    n_threads: int,
    scheduler: str,
    device: str,
    n_cells: int,
    trainer: Sequence[str] = (),
) -> Workers:
    """Return the workers that the words of the command line ask for.

    Parameters
    ----------
    n_workers
        Number of workers; None: one a core, but no more than there are cells.
    n_threads
        Number of threads of each.
    scheduler
        Address of a Dask scheduler, ``slurm``, or empty.
    device
        One of `bench.runner.job.DEVICES`.
    n_cells
        Number of cells to run.
    trainer
        ``key=value`` for Lightning's Trainer.

    Raises
    ------
    BenchError
        Options contradict each other, or the device is unknown or not here.
    """
    check_device(device)
    if scheduler not in ("", "slurm") and n_workers is not None:
        raise BenchError(
            "--workers counts local processes or jobs of SLURM; with --scheduler ADDRESS all "
            "workers that have joined it work"
        )
    if n_workers is None:
        n_workers = max(1, min(len(os.sched_getaffinity(0)), n_cells))
    options = parse_trainer_options(trainer)
    n_nodes = options.get("num_nodes", 1)
    if n_nodes > 1 and (n_workers > 0 or scheduler):
        raise BenchError(
            f"--trainer num_nodes={n_nodes} needs --workers 0: each host has one process"
        )
    node = rank(n_nodes) if n_nodes > 1 else 0
    if scheduler:
        return Workers(max(1, n_workers), n_threads, scheduler, device, trainer_options=options)
    if not n_cells and device != "cuda":
        return Workers(n_workers, n_threads, "", "cpu", trainer_options=options, node=node)
    import torch

    device = device_here(device)
    n_gpus = torch.cuda.device_count() if device == "cuda" else 0
    if device == "cuda" and options.get("devices", 1) > n_gpus:
        raise BenchError(f"--trainer devices={options['devices']}: there are {n_gpus} GPUs here")
    return Workers(n_workers, n_threads, "", device, n_gpus, options, node)


def parse_trainer_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the keyword arguments for Lightning's Trainer in ``key=value`` words.

    Several devices train one model in processes that are started from the worker's process: a
    strategy that starts the whole program again would start the sweep again.

    Raises
    ------
    BenchError
        A key is unknown, a value is refused, or it would change a result by more than rounding.
    """
    options: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in ("devices", "num_nodes") and value.isdecimal() and int(value) > 0:
            options[key] = int(value)
        elif key == "strategy" and value in STRATEGIES:
            options[key] = value
        else:
            raise BenchError(
                f"--trainer {word}: known are devices=N, num_nodes=N and "
                f"strategy={'|'.join(STRATEGIES)}"
            )
    if options.get("devices", 1) * options.get("num_nodes", 1) > 1:
        options.setdefault("strategy", STRATEGIES[0])
    return options
