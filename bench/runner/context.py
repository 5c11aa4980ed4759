"""Where the training of a cell reports to: curves, pictures and progress in folders of cells."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.methods.context import FitContext
from bench.runner.usage import Usage
from bench.store.cell_folder import CellFolder
from bench.store.claim import Claim

#: Shortest time in seconds between two writes of a running cell's progress.
PROGRESS_S = 0.5


class BusyError(Exception):
    """What a cell needs is being computed by another process, which will finish it."""


class ProgressWriter:
    """Writes stage and progress of a cell into its folder, at most every `PROGRESS_S`."""

    def __init__(self, folder: CellFolder) -> None:
        self._folder, self._written_at, self._phase = folder, 0.0, ("", False)
        self._stage_start: dict[str, float] = {}

    def write(self, stage: str, done: int, total: int, unit: str, text: str = "") -> None:
        """Write that `done` of `total` steps of a stage are finished; see `FitContext`."""
        # A stage that goes on from a checkpoint says where it begins as soon as it knows its total.
        phase = stage, total > 0
        is_new = phase != self._phase
        if is_new:
            self._stage_start = {"since": time.time(), "from": done}
        if is_new or time.monotonic() - self._written_at > PROGRESS_S:
            values = {"done": done, "total": total, "unit": unit, "text": text}
            self._folder.write_state(stage, **values, **self._stage_start)
            self._written_at, self._phase = time.monotonic(), phase


class CellContext(FitContext):
    """Keeps what a training reports in the folder that was claimed for it.

    Memory and processor time are added to the curves. Progress goes to the folder of the cell that
    waits for the training, which may be another.

    Parameters
    ----------
    training
        Folder of the cell that is trained: curves, pictures and checkpoints.
    waiting
        Folder of the cell whose progress is shown.
    claim
        Claim on the folder of the training.
    trainer_options
        Keyword arguments for Lightning's Trainer.
    usage
        Measures this process.
    part
        Which part of the waiting cell this training is, such as ``member 2 of 3``; shown with its
        progress.

    Attributes
    ----------
    earlier_s
        Training time in seconds up to the checkpoint from which the training resumes; 0 for a new
        one.
    """

    def __init__(
        self,
        training: CellFolder,
        waiting: CellFolder,
        claim: Claim,
        trainer_options: Mapping[str, Any],
        usage: Usage,
        part: str = "",
    ) -> None:
        self._training, self._claim, self._usage, self._part = training, claim, usage, part
        self._progress = ProgressWriter(waiting)
        self.earlier_s = 0.0
        self.folder = training.path
        self.trainer_options = trainer_options

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_usage": None}  # it measures this process alone

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({**state, "_usage": Usage()})

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to the curves, with what the machine did meanwhile."""
        self._training.add_metrics(step, {**values, **self._usage.metrics()})

    def log_picture(self, step: int, name: str, values: NDArray[np.floating]) -> None:
        """Keep a picture, which is recorded with the curves."""
        self._training.add_picture(step, name, values)

    def resume_after(self, seconds: float) -> None:
        """Add the seconds that the training took before it was interrupted.

        Without any it begins anew, and the curves of a training that was given up are removed.
        """
        self.earlier_s += seconds
        if not seconds:
            self._training.clear_curves()

    def call_hosts(self) -> None:
        """Call the other hosts to the training, where there are any."""
        if self.trainer_options.get("num_nodes", 1) > 1:
            self._training.call(self._claim.path.name)

    def report_progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        """Write the progress; a `total` of 0 says that it is not known yet.

        Raises
        ------
        BusyError
            Another process has taken the training over, so this one ends.
        """
        if not self._claim.holds():
            raise BusyError
        self._progress.write("fit", done, total, unit, ", ".join(filter(None, (self._part, text))))


class JoinedContext(FitContext):
    """The context of a training that another host runs: its checkpoints are read, nothing is kept.

    Parameters
    ----------
    training
        Folder of the cell that is trained.
    trainer_options
        Keyword arguments for Lightning's Trainer.
    """

    def __init__(self, training: CellFolder, trainer_options: Mapping[str, Any]) -> None:
        self.folder = training.path
        self.owns_folder = False
        self.trainer_options = trainer_options
