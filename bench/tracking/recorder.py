"""Mirrors folders into MLflow while cells run, from a thread of its own.

A store that is slow holds up no cell. One that is away is asked again every `RETRY_S`, and what it
has missed until the end of the run is recorded by the next, from the folders.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from bench.store.cell_folder import CellFolder
from bench.tracking.tracker import Tracker

LOOK_S, RETRY_S = 1.0, 15.0
#: A cell that ends sooner than this after its beginning is recorded in one go.
FOLLOW_S = 4.0


class Recorder:
    """Follows cells from their beginning, and records those that have ended.

    Parameters
    ----------
    tracker
        Used by no one else until the recorder is left.
    ended
        Cells to record at once.
    """

    def __init__(self, tracker: Tracker, ended: Sequence[CellFolder]) -> None:
        self.tracker, self.ended = tracker, list(ended)
        self.running: dict[CellFolder, float] = {}
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        gc.freeze()  # MLflow makes many objects: the search among them need not go through all code
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop.set()
        self.thread.join()
        self._record()
        gc.unfreeze()

    def begin(self, folder: CellFolder) -> None:
        """Follow a cell from now on."""
        with self.lock:
            self.running[folder] = time.monotonic()

    def end(self, folder: CellFolder) -> None:
        """Record a cell that has ended."""
        with self.lock:
            self.running.pop(folder, None)
            self.ended.append(folder)

    def _watch(self) -> None:
        again = 0.0
        while not self.stop.wait(LOOK_S):
            if time.monotonic() >= again and not self._look():
                again = time.monotonic() + RETRY_S

    def _look(self) -> bool:
        """Record what has ended and follow what runs; tell whether the store took it."""
        with self.lock:
            long_begun = time.monotonic() - FOLLOW_S
            running = [folder for folder, begun in self.running.items() if begun < long_begun]
        return self._record() and all(self.tracker.follow(folder) for folder in running)

    def _record(self) -> bool:
        """Record what has ended; stop at the first that the store does not take."""
        while self.ended:
            if not self.tracker.finish(self.ended[0]):
                return False
            with self.lock:
                del self.ended[0]
        return True
