"""The settings with which cells are computed, and how the work on a cell ended."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench import provenance
from bench.errors import BenchError
from bench.store.listening import ListeningClip

#: What a device may be called.
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class JobResult:
    """How the work on a cell ended.

    Attributes
    ----------
    status
        ``done``: computed here; ``found``: computed by another process before; ``busy``: another
        process computes it now; ``failed``; ``stopped``: a folder is missing or cannot be
        written, or the worker runs another version of the code, which is no fault of the cell.
    why
        The reason in one line, where the status is ``failed`` or ``stopped``.
    """

    status: Literal["done", "found", "busy", "failed", "stopped"]
    why: str = ""


@dataclass(frozen=True)
class Job:
    """The settings with which cells are computed, the same for all cells of a run.

    Attributes
    ----------
    runs
        The folder that holds all cells.
    data
        The folder that holds the corpora.
    device
        ``cpu``, ``cuda``, or ``auto``: a GPU where the worker has one.
    n_threads
        Number of threads of BLAS and of PyTorch.
    commit
        Commit of the code when the run began. A change that is made during a long training is not
        part of the code that trains.
    began
        Beginning of the run in seconds since the epoch, by the clock of
        `bench.store.files.server_time`. A cell that failed later is not tried again.
    keep_estimates
        Whether the estimates of all tracks stay in the cell's folder.
    clips
        The clips to listen to, of which each cell writes its estimates.
    modules
        Folder in which modules of methods lie that are not installed.
    trainer_options
        Keyword arguments for Lightning's Trainer; see `bench.methods.context.FitContext`.
    """

    runs: Path
    data: Path
    device: str
    n_threads: int
    commit: str
    began: float = math.inf
    keep_estimates: bool = False
    clips: Sequence[ListeningClip] = ()
    modules: Path | None = None
    trainer_options: Mapping[str, Any] = field(default_factory=dict)

    def provenance(self) -> dict[str, Any]:
        """Return which code computes the numbers, and on what machine."""
        captured = provenance.capture(device_here(self.device))
        return {**captured, "commit": self.commit, "threads": self.n_threads}


def check_device(name: str) -> None:
    """Refuse a device that is not one of `DEVICES`.

    Raises
    ------
    BenchError
        It is not.
    """
    if name not in DEVICES:
        raise BenchError(f"no device {name!r}; known: {', '.join(DEVICES)}")


def device_here(name: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    BenchError
        CUDA is asked for and there is none, or the name is another.
    """
    import torch

    check_device(name)
    if name == "cuda" and not torch.cuda.is_available():
        raise BenchError(f"PyTorch finds no CUDA device on {platform.node()}; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
