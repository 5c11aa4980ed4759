"""What the terminal shows while cells run: a bar a cell, or plain lines where it is no terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.runner.store import CellFolder

POLL_S = 0.5
UNITS = {"fit": "step", "separate": "track"}


class Monitor:
    """Reads the folders of running cells from a thread of its own, and shows what they say.

    Parameters
    ----------
    console
        Where to show it.
    folders
        The cells that will run.
    follow
        Called with the folder of each running cell at every look.
    """

    def __init__(
        self, console: Console, folders: Sequence[CellFolder], follow: Callable[[CellFolder], None]
    ) -> None:
        self.console, self.folders, self.follow = console, folders, follow
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.all = self.progress.add_task("all cells", total=len(folders), unit="cells")
        self.tasks: dict[CellFolder, tuple[str, TaskID]] = {}
        self.told: set[tuple[CellFolder, str]] = set()
        self.ended: set[CellFolder] = set()
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        # What an interrupted run left is no progress of this one.
        self.before = {folder: folder.state().get("time", 0.0) for folder in folders}

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
            for folder in self.folders:
                with self.lock:
                    self._look(folder)

    def _look(self, folder: CellFolder) -> None:
        state = folder.state()
        stage = state.get("stage", "")
        stale = state.get("time", 0.0) <= self.before[folder]
        if folder in self.ended or stage not in UNITS or stale:
            return
        name = folder.cell.name
        if not self.console.is_terminal and (folder, stage) not in self.told:
            self.console.print(f"{name}: {stage}", highlight=False, markup=False)
            self.told.add((folder, stage))
        if folder not in self.tasks or self.tasks[folder][0] != stage:
            self._remove(folder)
            task = self.progress.add_task(f"{name}: {stage}", total=None, unit=UNITS[stage])
            self.tasks[folder] = stage, task
        task = self.tasks[folder][1]
        self.progress.update(task, completed=state["done"], total=state["total"])
        self.follow(folder)

    def _remove(self, folder: CellFolder) -> None:
        if folder in self.tasks:
            self.progress.remove_task(self.tasks.pop(folder)[1])

    def end(self, folder: CellFolder, why: str | None) -> None:
        """Show that a cell has ended, and with `why` that it failed."""
        with self.lock:
            self.ended.add(folder)
            self._remove(folder)
            self.progress.advance(self.all)
        text = f"{folder.cell.name}: done" if why is None else f"{folder.cell.name}: failed: {why}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
