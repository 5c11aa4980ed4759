"""One model on several hosts: the first computes the cells, the others join its trainings.

The same ``bench run`` is started once a host, told apart by ``NODE_RANK``. The first one calls the
others by a file in the folder of the training. Each answers with a training of its own of the same
cell, which Lightning connects by ``MASTER_ADDR`` and ``MASTER_PORT``, and lets go of what comes of
it: the first has the same, and goes on alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.datasets import open_dataset
from bench.errors import BenchError
from bench.methods.context import FitContext
from bench.runner.cell import Job, device_here
from bench.store.cell_folder import CellFolder
from bench.store.claim import holder
from bench.store.trained import training_folder

#: Seconds between two looks for a call.
LOOK_S = 0.2
#: What tells the hosts from each other, by the names that Lightning reads.
NAMES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


class JoinedContext(FitContext):
    """Of a training that another host keeps: its checkpoints are read, and nothing is told."""

    def __init__(self, folder: Path, trainer_options: Mapping[str, Any]) -> None:
        self.folder, self.trainer_options = folder, trainer_options


def rank(n_nodes: int) -> int:
    """Return which of `n_nodes` hosts this is, 0 for the first.

    Raises
    ------
    BenchError
        The environment does not say.
    """
    missing = [name for name in NAMES if not os.environ.get(name)]
    found = os.environ.get("NODE_RANK", "")
    if missing or not found.isdecimal() or int(found) >= n_nodes:
        raise BenchError(
            f"--trainer num_nodes={n_nodes}: start the same command once a host, each with "
            "MASTER_ADDR and MASTER_PORT of the first and a NODE_RANK of its own, 0 to "
            f"{n_nodes - 1}" + (f"; not set: {', '.join(missing)}" if missing else "")
        )
    return int(found)


def join(job: Job, pending: Sequence[CellFolder]) -> int:
    """Join the trainings of these cells as they are called for; return how many, at the end of all.

    One that breaks off here breaks off on all hosts: the first notes why, and the next is joined.
    """
    homes = {home.path: home for home in map(training_folder, pending) if home.cell.learns}
    answered: set[str] = set()
    n_joined = 0
    torch.set_num_threads(job.threads)
    while homes:
        for path, home in list(homes.items()):
            call, state = home.called(), home.state()
            if home.is_fitted() or (state.get("stage") == "failed" and state["time"] > job.began):
                del homes[path]
            elif call is not None and call not in answered and holder(path) is not None:
                answered.add(call)
                n_joined += answer(job, home)
        time.sleep(LOOK_S)
    return n_joined


def answer(job: Job, home: CellFolder) -> bool:
    """Train a cell with the host that has called; tell whether that went to its end."""
    dataset = open_dataset(home.cell.dataset, job.data)
    method = home.cell.build().to(device_here(job.device))
    try:
        method.fit(
            dataset.tracks("train"),
            dataset.tracks("dev"),
            JoinedContext(home.path, job.trainer_options),
        )
    except Exception as error:  # noqa: BLE001 - the sweep is the first host's
        said = str(error).splitlines() or [type(error).__name__]
        print(f"bench: {home.cell.name}: {said[-1]}; waiting", file=sys.stderr, flush=True)
        return False
    return True
