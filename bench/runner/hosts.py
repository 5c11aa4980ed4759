"""One model on several hosts: the first computes the cells, the others join its trainings.

The same ``bench run`` is started once on each host, with a ``NODE_RANK`` of its own. The first host
calls the others by a file in the folder of the training. Each of them starts a training of the same
cell, which Lightning connects by ``MASTER_ADDR`` and ``MASTER_PORT``, and drops its result: the
first host has the same weights, and separates and scores alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.datasets import open_dataset
from bench.errors import BenchError
from bench.methods.shared_work import sharing
from bench.runner.context import JoinedContext
from bench.runner.job import Job, device_here
from bench.store.cell_folder import CellFolder
from bench.store.claim import holder, newest
from bench.store.files import server_time
from bench.store.trained import member_folders, training_folder

#: Polling interval in seconds: how often to look for a call of the first host.
CALL_POLL_S = 0.2
#: Time in seconds without a claim of the first host on any cell after which it counts as ended, and
#: number of looks at the claims in that time.
SILENT_S, N_LOOKS = 600.0, 20
#: Environment variables that Lightning reads, which tell the hosts from each other.
NAMES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


def rank(n_nodes: int) -> int:
    """Return the rank of this host among `n_nodes`, 0 for the first.

    Raises
    ------
    BenchError
        The environment variables do not state it.
    """
    missing = [name for name in NAMES if not os.environ.get(name)]
    node_rank = os.environ.get("NODE_RANK", "")
    if missing or not node_rank.isdecimal() or int(node_rank) >= n_nodes:
        raise BenchError(
            f"--trainer num_nodes={n_nodes}: start the same command once a host, each with "
            "MASTER_ADDR and MASTER_PORT of the first and a NODE_RANK of its own, 0 to "
            f"{n_nodes - 1}" + (f"; not set: {', '.join(missing)}" if missing else "")
        )
    return int(node_rank)


def join(job: Job, pending: Sequence[CellFolder]) -> int:
    """Join the trainings of these cells as the first host calls, until all of them have ended.

    A training that fails here fails on all hosts: the first host writes why, and the next training
    is joined.

    Returns
    -------
    int
        Number of trainings that ended well here.

    Raises
    ------
    BenchError
        No cell has been computed anywhere for `SILENT_S`: the first host has ended.
    """
    trainings: dict[Path, CellFolder] = {}
    waiting: dict[Path, list[CellFolder]] = {}
    for folder in pending:
        training = training_folder(folder)
        if not folder.cell.learns or training.is_fitted():
            continue
        for part in member_folders(training) or [training]:
            trainings[part.path] = part
            waiting.setdefault(part.path, []).append(folder)
    answered: set[str] = set()
    n_joined = 0
    import torch

    torch.set_num_threads(job.n_threads)
    places = {folder.path for folder in pending} | trainings.keys()
    last_held = now = server_time(job.runs)
    next_look = time.monotonic() + SILENT_S / N_LOOKS
    while trainings:
        if time.monotonic() > next_look:
            next_look = time.monotonic() + SILENT_S / N_LOOKS
            now = server_time(job.runs)
            if any(holder(path, now) is not None for path in places):
                last_held = now
            elif now - last_held > SILENT_S:
                raise BenchError(
                    "the host with NODE_RANK=0 has computed no cell for "
                    f"{SILENT_S / 60:.0f} minutes: start the same command again on every host"
                )
        for path, training in list(trainings.items()):
            claim = newest(path)
            call = training.latest_call(claim.name) if claim else None
            # The first host begins no training of which no cell is left that waits for it.
            if _has_ended(job, training) or all(_has_ended(job, one) for one in waiting[path]):
                del trainings[path]
            elif call is not None and call not in answered and _is_held(path, job.runs):
                answered.add(call)
                n_joined += _train_along(job, training)
                last_held = server_time(job.runs)
        time.sleep(CALL_POLL_S)
    return n_joined


def _is_held(folder: Path, runs: Path) -> bool:
    """Return whether a living process computes a cell, by the clock of the file server."""
    return holder(folder, server_time(runs)) is not None


def _has_ended(job: Job, folder: CellFolder) -> bool:
    """Return whether a cell is trained or finished, or has failed in this run."""
    has_failed = folder.state_after(job.began).get("stage") == "failed"
    return has_failed or folder.is_fitted() or folder.is_done()


def _train_along(job: Job, training: CellFolder) -> bool:
    """Train a cell together with the host that has called; return whether it ended well."""
    cell = training.cell
    dataset = open_dataset(cell.dataset, job.data)
    method = cell.build().to(device_here(job.device))
    context = JoinedContext(training, job.trainer_options)
    try:
        with sharing(training.shared_folder):
            method.fit(dataset.tracks("train"), dataset.tracks("dev"), context)
    except Exception as error:  # noqa: BLE001 - the first host decides what becomes of the sweep
        lines = str(error).splitlines() or [type(error).__name__]
        print(f"bench: {cell.name}: {lines[-1]}; waiting", file=sys.stderr, flush=True)
        return False
    return True
