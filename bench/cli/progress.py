"""What the terminal shows while cells run: a bar a cell, or plain lines where it is no terminal."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from bench.store.cell_folder import CellFolder
from bench.store.status import duration_text, progress_text, time_left_text

#: Polling interval of the folders, and shortest time between two plain lines of one stage, in
#: seconds.
POLL_S, LINE_S = 0.5, 60.0
#: The stages of a running cell.
STAGES = ("fit", "separate", "score")
#: Time in seconds after which a line is printed, where there is no terminal to show a spinner.
SILENT_S = 0.5


@contextlib.contextmanager
def shown_stage(console: Console, text: str) -> Iterator[None]:
    """Show what is being done: a spinner on a terminal, a line elsewhere unless it is soon over."""
    if console.is_terminal:
        with console.status(text):
            yield
        return
    timer = threading.Timer(SILENT_S, lambda: print(text, flush=True))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Monitor:
    """Reads the progress of running cells from their folders in a thread, and shows it.

    Parameters
    ----------
    console
        Where the progress is shown.
    total
        Number of cells that will run.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.n_ended = console, total, 0
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.all = self.progress.add_task("all cells", total=total, unit="cells", left="")
        self.tasks: dict[CellFolder, tuple[str, TaskID]] = {}
        self.printed_at: dict[tuple[CellFolder, str], float] = {}
        #: Start of each running cell, and the time of the state that an earlier run left in it.
        self.running: dict[CellFolder, tuple[float, float]] = {}
        self.begun = time.monotonic()
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.progress.start()
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
        self.progress.stop()

    def _watch(self) -> None:
        while not self.stop.wait(POLL_S):
            with self.lock:
                for folder, (_, before) in self.running.items():
                    state = folder.state()
                    if state.get("stage") in STAGES and state["time"] != before:
                        self._show(folder, state)

    def _show(self, folder: CellFolder, state: Mapping[str, Any]) -> None:
        name, stage = folder.cell.name, state["stage"]
        left = ", ".join(filter(None, [state.get("text"), time_left_text(state)[2:]]))
        if not self.console.is_terminal:
            last = self.printed_at.get((folder, stage))
            if last is None or time.monotonic() - last > LINE_S:
                self.printed_at[folder, stage] = time.monotonic()
                self._print(f"{name}: {progress_text(state)}")
        if folder not in self.tasks or self.tasks[folder][0] != stage:
            self._remove(folder)
            task = self.progress.add_task(f"{name}: {stage}", total=None, unit="", left="")
            self.tasks[folder] = stage, task
        self.progress.update(
            self.tasks[folder][1],
            total=state["total"] or None,
            completed=state["done"],
            unit=state.get("unit", ""),
            left=left,
        )

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _remove(self, folder: CellFolder) -> None:
        if folder in self.tasks:
            self.progress.remove_task(self.tasks.pop(folder)[1])

    def begin(self, folder: CellFolder) -> None:
        """Show a cell from now on."""
        with self.lock:
            now = time.monotonic()
            self.running.setdefault(folder, (now, folder.state().get("time", 0.0)))

    def end(self, folder: CellFolder, how: str) -> None:
        """Show that a cell has ended, and how."""
        with self.lock:
            self.n_ended += 1
            self._remove(folder)
            now = time.monotonic()
            took = now - self.running.pop(folder)[0]
            rest = (now - self.begun) / self.n_ended * (self.total - self.n_ended)
            left = f", about {duration_text(rest)} left" if rest else ""
            self.progress.update(self.all, completed=self.n_ended, left=left[2:])
        count = f"[{self.n_ended}/{self.total}]"
        self._print(f"{count} {folder.cell.name}: {how} ({duration_text(took)}{left})")
