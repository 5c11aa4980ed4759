"""Records cells in MLflow while they run, from a thread of its own.

A slow store delays no cell. A store that is away is asked again every `RETRY_S` seconds. What it
has missed at the end of the run is recorded by the next run, from the folders of the cells.
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

#: Polling interval in seconds: how often the folders of running cells are read.
LOOK_S = 1.0
#: Time in seconds after which a store that did not answer is asked again.
RETRY_S = 15.0
#: Age in seconds from which the curves of a running cell are sent. A cell that ends sooner is
#: recorded whole at its end.
FOLLOW_S = 4.0


class Recorder:
    """Sends the curves of running cells, and records the cells that have ended.

    Parameters
    ----------
    tracker
        The connection to the store, which nothing else uses until the context ends.
    ended
        Folders of cells that had ended before the context begins.
    """

    def __init__(self, tracker: Tracker, ended: Sequence[CellFolder]) -> None:
        self.tracker, self.ended = tracker, list(ended)
        self.running: dict[CellFolder, float] = {}
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        gc.freeze()  # keeps the garbage collector from scanning the objects of imported modules
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
        """Send the curves of a cell from now on."""
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
        """Record ended cells, send the curves of the others; return whether that went well."""
        with self.lock:
            long_begun = time.monotonic() - FOLLOW_S
            running = [folder for folder, begun in self.running.items() if begun < long_begun]
        is_recorded = self._record()
        is_followed = all(self.tracker.follow(folder) for folder in running)
        return is_recorded and is_followed

    def _record(self) -> bool:
        """Record the cells that have ended; return whether the store took all of them.

        A cell that the store refuses goes to the end of the queue. After two in a row the store is
        taken to be away.
        """
        n_refused = 0
        while n_refused < min(len(self.ended), 2):
            is_recorded = self.tracker.finish(self.ended[0])
            n_refused = 0 if is_recorded else n_refused + 1
            with self.lock:
                folder = self.ended.pop(0)
                if not is_recorded:
                    self.ended.append(folder)
        return not self.ended
