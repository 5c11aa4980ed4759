"""One cell from start to end: fit, then separate and score each test track."""

from __future__ import annotations

import contextlib
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
import torch
from numpy.typing import NDArray

from bench import methods, pieces, provenance
from bench.datasets import open_dataset
from bench.errors import BenchError
from bench.runner.load import Load
from bench.runner.plan import Cell
from bench.runner.store import CellFolder, locked
from bench.scoring.protocols import score
from bench.separator import FitLog, Separator

#: Seconds between two writes of a running cell's progress.
HEARTBEAT_S = 0.5


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
        ``cpu`` or ``cuda``.
    threads
        Of BLAS and PyTorch.
    commit
        Of the code when the run began: an edit or commit during a long training is not its code.
    """

    runs: Path
    data: Path
    device: str
    threads: int
    commit: str

    def __call__(self, cell: Cell) -> str | None:
        """Run a cell, unless another process has done it; return None, or why it failed."""
        folder = CellFolder(self.runs, cell)
        try:
            torch.set_num_threads(self.threads)
            with (
                locked(folder.path / "lock"),
                threadpoolctl.threadpool_limits(self.threads),
            ):
                if not folder.is_done():
                    folder.begin()
                    run_cell(self, cell, folder)
        except Exception as error:  # noqa: BLE001 - a failed cell must not end the others
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, BenchError):
                reason = str(error)
            folder.fail(reason, traceback.format_exc())
            return reason
        return None

    def provenance(self) -> dict[str, Any]:
        """Return which code makes the numbers, and where."""
        return {**provenance.capture(self.device), "commit": self.commit}


class CellLog(FitLog):
    """Keeps curves and checkpoints in the folder `home`, and progress in that of the cell.

    What the machine does meanwhile goes into the curves too.
    """

    def __init__(self, home: CellFolder, cell_folder: CellFolder, load: Load) -> None:
        self.load = load
        self.cell_folder = home
        self.folder = home.path
        self.heartbeat = Heartbeat(cell_folder)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line to the curves."""
        self.cell_folder.add_metrics(step, {**values, **self.load.metrics()})

    def picture(self, step: int, name: str, values: NDArray[np.floating]) -> None:
        """Keep a picture, to be recorded with the curves."""
        self.cell_folder.add_picture(step, name, values)

    def progress(self, done: int, total: int) -> None:
        """Write the heartbeat."""
        self.heartbeat.beat("fit", done, total)


class Heartbeat:
    """Writes stage and progress, but not more often than `HEARTBEAT_S`."""

    def __init__(self, folder: CellFolder) -> None:
        self.folder, self.last, self.stage = folder, 0.0, ""

    def beat(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` steps of `stage` are behind us."""
        if stage != self.stage or time.monotonic() - self.last > HEARTBEAT_S:
            self.folder.write_state(stage, done=done, total=total)
            self.last, self.stage = time.monotonic(), stage


def run_cell(job: Job, cell: Cell, folder: CellFolder) -> None:
    """Do what is missing of a cell.

    Raises
    ------
    BenchError
        The data, or what the method made of them, cannot be used.
    """
    dataset = open_dataset(cell.dataset, job.data)
    method = fitted(job, cell, folder)
    missing = [name for name in cell.protocols if folder.scores(name) is None]
    rows: dict[str, list[pd.DataFrame]] = {name: [] for name in missing}
    tracks = dataset.tracks("test")
    heartbeat = Heartbeat(folder)
    separate_s = score_s = audio_s = 0.0
    with Load() as load:
        for done, track in enumerate(tracks):
            heartbeat.beat("separate", done, len(tracks))
            start = time.perf_counter()
            estimates = pieces.separate_track(method, track)
            middle = time.perf_counter()
            for name in missing:
                rows[name].append(pd.DataFrame(score(name, track, estimates)))
            separate_s += middle - start
            score_s += time.perf_counter() - middle
            audio_s += track.duration_s
    facts = {
        "fit": trained_in(folder).fit_facts() if cell.learns else {},
        "separate_s": separate_s,
        "score_s": score_s,
        "audio_s": audio_s,
        "n_tracks": len(tracks),
        "peak_bytes": load.peak_bytes,
        "provenance": job.provenance(),
    }
    for name in missing:
        folder.write_scores(name, pd.concat(rows[name], ignore_index=True), facts)
    folder.write_state("done")


def fitted(job: Job, cell: Cell, folder: CellFolder) -> Separator:
    """Return the method, trained now or before, by this cell or by one that shares its training."""
    if cell.learns:
        home = trained_in(folder)
        shared = contextlib.nullcontext() if home is folder else locked(home.path / "lock")
        with shared:
            if not home.is_fitted():
                if home is not folder:
                    home.begin()
                train(job, home, folder)
    return ready(folder).to(job.device)


def ready(folder: CellFolder) -> Separator:
    """Return the method of a cell that is trained, or that learns nothing.

    Raises
    ------
    BenchError
        What it has learnt is not there.
    """
    cell = folder.cell
    if not cell.learns:
        return cell.build()
    cls = methods.find(cell.method)
    own = {name: cell.hyperparameters[name] for name in cls.AFTER_TRAINING}
    return cls.load(trained_in(folder).fit_folder, **own)


def trained_in(folder: CellFolder) -> CellFolder:
    """Return the folder that holds what a cell learns: its own, or that of `Cell.trainer`."""
    trainer = folder.cell.trainer
    return folder if trainer is folder.cell else CellFolder(folder.path.parent, trainer)


def train(job: Job, home: CellFolder, folder: CellFolder) -> None:
    """Train, keep all of it in `home`, and tell the progress of the cell in `folder` too."""
    cell = home.cell
    dataset = open_dataset(cell.dataset, job.data)
    start = time.perf_counter()
    with Load() as load:
        log = CellLog(home, folder, load)
        log.progress(0, 1)
        method = cell.build().to(job.device)
        method.fit(dataset.tracks("train"), dataset.tracks("dev"), log)
        method.save(home.fit_folder)
    facts = {"fit_s": time.perf_counter() - start, "peak_bytes": load.peak_bytes}
    home.mark_fitted({**facts, "provenance": job.provenance()})
    shutil.rmtree(home.path / "checkpoints", ignore_errors=True)
