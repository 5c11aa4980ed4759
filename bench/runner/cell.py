"""One cell from start to end: fit, then separate and score each test track."""

from __future__ import annotations

import errno
import math
import os
import platform
import shutil
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import threadpoolctl
import torch
from numpy.typing import NDArray

from bench import provenance
from bench.datasets import open_dataset
from bench.errors import BenchError
from bench.methods import chunks
from bench.methods.context import FitContext
from bench.methods.separator import Separator
from bench.plan.cells import Cell
from bench.runner.usage import Usage
from bench.scoring.protocols import Prepared, score
from bench.store.cell_folder import CellFolder, FolderError
from bench.store.claim import Claim, claimed
from bench.store.estimates import keep, kept
from bench.store.trained import load_method, training_folder
from bench.track import Audio, Track

#: Seconds between two writes of a running cell's progress.
HEARTBEAT_S = 0.5
#: References of tracks that were prepared by a cell before, and what they may take in memory.
PREPARED: dict[str, Prepared] = {}
PREPARED_BYTES = 1 << 29
#: What an error says that a disk is to blame for, whichever library met it.
DISK_ERRORS = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)]


@dataclass(frozen=True)
class Outcome:
    """How a cell came out.

    Attributes
    ----------
    status
        ``done``; ``found``: another process has done it; ``busy``: another process is at it;
        ``failed``; ``stopped``: its folder cannot be written, and it is not to blame.
    why
        One line, of ``failed`` and ``stopped``.
    """

    status: Literal["done", "found", "busy", "failed", "stopped"]
    why: str = ""


class Busy(Exception):  # noqa: N818 - no error: it will be done
    """What the cell needs is being computed by another process."""


@dataclass(frozen=True)
class Job:
    """What a worker needs beside the cell.

    Attributes
    ----------
    runs
        The folder that holds all cells.
    data
        The folder that holds the corpora.
    device
        ``cpu``, ``cuda``, or ``auto``: what is found where the cell runs.
    threads
        Of BLAS and PyTorch.
    commit
        Of the code when the run began: an edit or commit during a long training is not its code.
    began
        When the run did, in seconds since the epoch: a cell that failed since is not tried again.
    keep_estimates
        Whether they stay in the cell's folder.
    trainer_options
        Settings for Lightning's Trainer; see `bench.methods.context.FitContext`.
    """

    runs: Path
    data: Path
    device: str
    threads: int
    commit: str
    began: float = math.inf
    keep_estimates: bool = False
    trainer_options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, cell: Cell) -> Outcome:
        """Run a cell, unless another process has done it or is at it."""
        folder = CellFolder(self.runs, cell)
        if not self.runs.is_dir():
            why = f"{self.runs} is not on {platform.node()}: all hosts must share that folder"
            return Outcome("stopped", why)
        try:
            torch.set_num_threads(self.threads)
            with claimed(folder.path) as claim, threadpoolctl.threadpool_limits(self.threads):
                if claim is None:
                    return Outcome("busy")
                return self._outcome(cell, folder, claim)
        except Busy:
            return Outcome("busy")
        except Exception as error:  # noqa: BLE001 - a failed cell must not end the others
            return failure(folder, error)

    def _outcome(self, cell: Cell, folder: CellFolder, claim: Claim) -> Outcome:
        """Run a cell that is claimed."""
        if folder.is_done():
            return Outcome("found")
        state = folder.state()
        if state.get("stage") == "failed" and state["time"] > self.began:
            return Outcome("failed", state["error"])
        folder.begin()
        run_cell(self, cell, folder, claim)
        return Outcome("done")

    def provenance(self) -> dict[str, Any]:
        """Return which code makes the numbers, and where."""
        return {**provenance.capture(device_here(self.device)), "commit": self.commit}


class CellContext(FitContext):
    """Keeps curves and checkpoints in the claimed folder `home`, and progress in the cell's.

    What the machine does meanwhile goes into the curves too.
    """

    def __init__(
        self,
        home: CellFolder,
        cell_folder: CellFolder,
        claim: Claim,
        trainer_options: Mapping[str, Any],
        usage: Usage,
    ) -> None:
        self.cell_folder, self.claim, self.usage = home, claim, usage
        self.trainer_options = trainer_options
        self.folder = home.path
        self.heartbeat = Heartbeat(cell_folder)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "usage": None}  # it samples this process

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({**state, "usage": Usage()})

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line to the curves."""
        self.cell_folder.add_metrics(step, {**values, **self.usage.metrics()})

    def log_picture(self, step: int, name: str, values: NDArray[np.floating]) -> None:
        """Keep a picture, to be recorded with the curves."""
        self.cell_folder.add_picture(step, name, values)

    def call_hosts(self) -> None:
        """Call the other hosts, where there are any."""
        if self.trainer_options.get("num_nodes", 1) > 1:
            self.cell_folder.call()

    def report_progress(self, done: int, total: int) -> None:
        """Write the progress; end here where another process has taken the training over."""
        if not self.claim.holds():
            raise Busy
        self.heartbeat.beat("fit", done, total)


class Heartbeat:
    """Writes stage and progress, but not more often than `HEARTBEAT_S`."""

    def __init__(self, folder: CellFolder) -> None:
        self.folder, self.last, self.stage = folder, 0.0, ""
        self.begun: dict[str, float] = {}

    def beat(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` steps of `stage` are behind us."""
        if stage != self.stage:
            self.begun = {"since": time.time(), "from": done}
        if stage != self.stage or time.monotonic() - self.last > HEARTBEAT_S:
            self.folder.write_state(stage, done=done, total=total, **self.begun)
            self.last, self.stage = time.monotonic(), stage


def device_here(name: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BenchError
        CUDA is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise BenchError(f"PyTorch finds no CUDA device on {platform.node()}; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def failure(folder: CellFolder, error: Exception) -> Outcome:
    """Note why a cell failed, unless the fault is with the disk: then it is as good as not begun.

    Must be called where the error was caught.
    """
    reason = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
    if isinstance(error, FolderError) or any(text in reason for text in DISK_ERRORS):
        return Outcome("stopped", reason)
    try:
        folder.fail(reason, traceback.format_exc())
    except FolderError as other:
        return Outcome("stopped", str(other))
    return Outcome("failed", reason)


def run_cell(job: Job, cell: Cell, folder: CellFolder, claim: Claim) -> None:
    """Do what is missing of a cell: training, then a track at a time separation and scores.

    Raises
    ------
    BenchError
        The data, or what the method made of them, cannot be used.
    Busy
        Another process has taken the cell over, or is at its training.
    """
    tracks = open_dataset(cell.dataset, job.data).tracks("test")
    separation = Separation(job, cell, folder, claim)
    missing = [name for name in cell.protocols if folder.scores_bytes(name) is None]
    rows: dict[str, list[pd.DataFrame]] = {name: [] for name in missing}
    score_s = audio_s = 0.0
    with Usage() as usage:
        for done, track in enumerate(tracks):
            estimates = separation.estimates(track, done, len(tracks))
            start = time.perf_counter()
            references = prepared(cell, track)
            for name in missing:
                rows[name].append(pd.DataFrame(score(name, track, estimates, references)))
            score_s += time.perf_counter() - start
            audio_s += track.duration_s
    facts = {
        "fit": training_folder(folder).fit_facts() if cell.learns else {},
        "separate_s": separation.seconds,
        "score_s": score_s,
        "audio_s": audio_s,
        "n_tracks": len(tracks),
        "peak_bytes": usage.peak_bytes,
        "provenance": job.provenance(),
    }
    for name in missing:
        if not claim.holds():
            raise Busy
        folder.write_scores(name, pd.concat(rows[name], ignore_index=True), facts)
    folder.write_state("done")


def prepared(cell: Cell, track: Track) -> Prepared:
    """Return a track's references, prepared once for all cells of this process.

    They stay up to `PREPARED_BYTES`, the first that come: every cell goes through the tracks in
    the same order, and would push out again those that come next.
    """
    key = f"{cell.digests['test']}/{track.name}"
    if key in PREPARED:
        return PREPARED[key]
    made = Prepared(track)
    if made.n_bytes + sum(other.n_bytes for other in PREPARED.values()) <= PREPARED_BYTES:
        PREPARED[key] = made
    return made


class Separation:
    """Gives a cell's estimates: those that were kept, or new ones, fitting first if it must."""

    def __init__(self, job: Job, cell: Cell, folder: CellFolder, claim: Claim) -> None:
        self.job, self.cell, self.folder, self.claim = job, cell, folder, claim
        self.heartbeat = Heartbeat(folder)
        self.method: Separator | None = None
        self.seconds = 0.0

    def estimates(self, track: Track, done: int, total: int) -> dict[str, Audio]:
        """Return the estimates of a track, the first after `done` of `total`."""
        found = kept(self.folder, track)
        if found is not None:
            self.heartbeat.beat("score", done, total)
            self.seconds += found[1]
            return found[0]
        if self.method is None:
            self.method = fitted(self.job, self.cell, self.folder, self.claim)
        self.heartbeat.beat("separate", done, total)
        start = time.perf_counter()
        estimates = chunks.separate_track(self.method, track)
        seconds = time.perf_counter() - start
        self.seconds += seconds
        if self.job.keep_estimates:
            keep(self.folder, track, estimates, seconds)
        return estimates


def fitted(job: Job, cell: Cell, folder: CellFolder, claim: Claim) -> Separator:
    """Return the method, trained now or before, by this cell or by one that shares its training.

    Raises
    ------
    Busy
        Another process trains it.
    """
    home = training_folder(folder)
    if cell.learns and not home.is_fitted():
        with nullcontext(claim) if home is folder else claimed(home.path) as mine:
            if mine is None:
                raise Busy
            if not home.is_fitted():
                if home is not folder:
                    home.begin()
                train(job, home, folder, mine)
    return load_method(folder).to(device_here(job.device))


def train(job: Job, home: CellFolder, folder: CellFolder, claim: Claim) -> None:
    """Train, keep all of it in `home`, and tell the progress of the cell in `folder` too."""
    cell = home.cell
    dataset = open_dataset(cell.dataset, job.data)
    start = time.perf_counter()
    with Usage() as usage:
        context = CellContext(home, folder, claim, job.trainer_options, usage)
        context.report_progress(0, 1)
        method = cell.build().to(device_here(job.device))
        method.fit(dataset.tracks("train"), dataset.tracks("dev"), context)
        method.save(home.fit_folder)
    facts = {"fit_s": time.perf_counter() - start, "peak_bytes": usage.peak_bytes}
    home.mark_fitted({**facts, **method.training_facts(), "provenance": job.provenance()})
    shutil.rmtree(home.path / "checkpoints", ignore_errors=True)
