"""The context of a training: where it keeps checkpoints, and where it reports to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class FitContext:
    """The context of one training. This one keeps nothing; the runner's keeps all of it.

    Attributes
    ----------
    folder
        Folder in which checkpoints survive a crash, or None: no checkpoint is kept.
    owns_folder
        Whether this process may change the folder: a host that joins a training only reads it.
    trainer_options
        Keyword arguments for Lightning's Trainer, such as ``devices``. They are no hyperparameters,
        since they change a result by rounding at most.
    """

    folder: Path | None = None
    owns_folder: bool = True
    trainer_options: Mapping[str, Any] = MappingProxyType({})

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point at `step` to the curve of each metric in `values`."""

    def log_picture(self, step: int, name: str, values: NDArray[np.floating]) -> None:
        """Keep a picture of `step`: ``(bins, frames)`` with values in [0, 1]."""

    def report_progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        """Report that `done` of `total` steps are finished.

        Parameters
        ----------
        done, total
            Number of finished steps, and of all; 0 while the latter is not known.
        unit
            What a step is, in the plural.
        text
            What else to show, such as the loss.
        """

    def resume_after(self, seconds: float) -> None:
        """Report that the training resumes from a checkpoint.

        `seconds` is the training time up to that checkpoint; 0: the training starts anew.
        """

    def call_hosts(self) -> None:
        """Tell the other hosts that a training on several hosts begins now."""


class MemberContext(FitContext):
    """The context of one member of an ensemble: checkpoints of its own, nothing else kept.

    Parameters
    ----------
    ensemble
        Context of the ensemble's training.
    nth
        Number of the member, from 0.
    """

    def __init__(self, ensemble: FitContext, nth: int) -> None:
        self._ensemble, self._nth = ensemble, nth
        self.folder = ensemble.folder and ensemble.folder / f"member-{nth}"
        self.owns_folder = ensemble.owns_folder
        self.trainer_options = ensemble.trainer_options

    def report_progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        """Report the progress of this member; see `FitContext`."""
        member = f"member {self._nth + 1}"
        self._ensemble.report_progress(done, total, unit, f"{member}, {text}" if text else member)

    def resume_after(self, seconds: float) -> None:
        """Tell of this member's checkpoint; see `FitContext`."""
        self._ensemble.resume_after(seconds)

    def call_hosts(self) -> None:
        """Tell the other hosts; see `FitContext`."""
        self._ensemble.call_hosts()
