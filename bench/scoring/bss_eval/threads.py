"""Scoring on one thread: its products are small, and threads that wait for each other cost more.

On two cores, 8 s of mono take about ten times as long on two threads as on one, and 30 s of stereo
twice as long (``make benchmark`` measures both).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any, Literal, TypeVar

import threadpoolctl
import torch

F = TypeVar("F", bound=Callable[..., Any])


class _OneThread(ContextDecorator):
    """Gives BLAS and PyTorch one thread; the last to leave restores what the first has met."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_inside = 0
        self.limits: Any = None
        self.n_before = 1
        self.local = threading.local()

    def __enter__(self) -> None:
        self.local.depth = getattr(self.local, "depth", 0) + 1
        with self.lock:
            if not self.n_inside:
                self.n_before = torch.get_num_threads()
                self.limits = _controller().limit(limits=1, user_api="blas")
            self.n_inside += 1
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> Literal[False]:
        self.local.depth -= 1
        with self.lock:
            self.n_inside -= 1
            if not self.n_inside:
                self.limits.restore_original_limits()
            if not self.local.depth:  # after the line above, which sets OpenMP's number too
                torch.set_num_threads(self.n_before)
        return False


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    """Return what sets the threads of BLAS; to look for its libraries takes milliseconds."""
    return threadpoolctl.ThreadpoolController()


_ONE_THREAD = _OneThread()


def on_one_thread(function: F) -> F:
    """Return a function that runs on one thread, and leaves the caller's settings as they were."""
    return _ONE_THREAD(function)
