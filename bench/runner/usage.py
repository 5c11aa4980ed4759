"""What a cell asks of the machine: memory and processor of this process, sampled while it works."""

from __future__ import annotations

import threading
from typing import Self

import psutil

#: Seconds between two samples of the memory.
PERIOD_S = 0.1


class Usage:
    """Samples this process from `__enter__` to `__exit__`.

    Attributes
    ----------
    peak_bytes
        The largest resident memory of the whole process since `__enter__` or `restart`.
    """

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.peak_bytes = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.process.cpu_percent()  # from now on
        self._sample()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        self._sample()

    def restart(self) -> None:
        """Forget the peak so far, so that what follows is measured alone."""
        with self.lock:
            self.peak_bytes = 0
        self._sample()

    def _sample(self) -> None:
        with self.lock:
            self.peak_bytes = max(self.peak_bytes, self.process.memory_info().rss)

    def _watch(self) -> None:
        while not self.ended.wait(PERIOD_S):
            self._sample()

    def metrics(self) -> dict[str, float]:
        """Return memory and processor time since the last call, by MLflow's system metrics.

        100 % is one core.
        """
        return {
            "system/memory_usage_megabytes": self.process.memory_info().rss / 2**20,
            "system/cpu_utilization_percentage": self.process.cpu_percent(),
        }
