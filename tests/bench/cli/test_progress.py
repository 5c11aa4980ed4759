from __future__ import annotations

import io
import re
import threading
import time
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress

from bench.cli import progress
from bench.cli.progress import Monitor, shown_stage
from bench.cli.separate import _left_text
from bench.runner.context import ProgressWriter
from bench.store.status import duration_text, time_left_text


class Folder:
    """Stands for the folder of a cell."""

    def __init__(self) -> None:
        self.cell = SimpleNamespace(name="DRNN, seed 0")
        self.values: dict = {}

    def state(self) -> dict:
        return self.values

    def write_state(self, stage: str, **values) -> None:
        self.values = {"stage": stage, "time": time.time(), **values}


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_the_bar_of_a_training_counts_epochs_to_their_true_number_and_shows_the_loss(
    terminal, monkeypatch
):
    monkeypatch.setattr("bench.runner.context.PROGRESS_S", 0.0)
    folder = Folder()
    writer, monitor = ProgressWriter(folder), Monitor(terminal, 1)
    writer.write("fit", 0, 0, "steps")
    monitor._show(folder, folder.state())
    (_, bar) = monitor.progress.tasks
    assert (bar.total, bar.description) == (None, "DRNN, seed 0: fit")
    writer.write("fit", 0, 60, "epochs")
    writer.write("fit", 2, 60, "epochs", "loss 0.0123")
    monitor._show(folder, folder.state())
    assert (bar.completed, bar.total, bar.fields["unit"]) == (2, 60, "epochs")
    assert bar.fields["left"].startswith("loss 0.0123, about ")
    writer.write("separate", 1, 8, "tracks")
    monitor._show(folder, folder.state())
    (_, bar) = monitor.progress.tasks
    assert (bar.description, bar.total, bar.fields["unit"]) == (
        "DRNN, seed 0: separate",
        8,
        "tracks",
    )


def test_without_a_terminal_a_line_tells_each_stage_once_and_each_end():
    written = io.StringIO()
    folder, monitor = Folder(), Monitor(Console(file=written, width=200), 2)
    monitor.begin(folder)
    writer = ProgressWriter(folder)
    writer.write("separate", 1, 8, "tracks")
    for _ in range(2):
        monitor._show(folder, folder.state())
    monitor.end(folder, "done")
    begun, ended = written.getvalue().splitlines()
    assert begun == "DRNN, seed 0: separate 1/8 tracks"
    assert re.fullmatch(r"\[1/2\] DRNN, seed 0: done \(.+ s, about .+ left\)", ended)


def test_the_time_that_a_training_still_needs_is_reckoned_from_the_checkpoint_it_goes_on_from(
    monkeypatch,
):
    now = 1000.0
    monkeypatch.setattr("bench.runner.context.PROGRESS_S", 0.0)
    monkeypatch.setattr("bench.runner.context.time.time", lambda: now)
    folder = Folder()
    monkeypatch.setattr(folder, "state", lambda: {**folder.values, "time": now})
    writer = ProgressWriter(folder)
    writer.write("fit", 0, 0, "steps")
    now += 5.0  # the corpus is read
    writer.write("fit", 20, 60, "epochs")
    assert time_left_text(folder.state()) == ""
    now += 12.0
    writer.write("fit", 21, 60, "epochs")
    assert time_left_text(folder.state()) == f", about {duration_text(39 * 12)} left"


def test_a_long_stretch_without_a_terminal_is_told_in_a_line_and_a_short_one_is_not(
    capsys, monkeypatch
):
    timers: list[threading.Timer] = []

    def kept(seconds, function):
        timers.append(threading.Timer(seconds, function))
        return timers[-1]

    monkeypatch.setattr(progress, "threading", SimpleNamespace(Timer=kept))
    plain = Console(file=io.StringIO())
    with shown_stage(plain, "writing the report"):
        pass
    timers[0].join(progress.SILENT_S / 2)
    assert not timers[0].is_alive(), "the line would still come"
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    with shown_stage(plain, "writing the report"):
        timers[1].join(30)
    assert capsys.readouterr().out == "writing the report\n"


def test_a_terminal_shows_what_a_stretch_does_at_once(terminal):
    with shown_stage(terminal, "writing the report"):
        pass
    assert "writing the report" in terminal.file.getvalue()


def test_the_time_that_a_song_still_needs_is_known_from_its_first_piece_on(terminal):
    now_s = [0.0]
    bar = Progress(console=terminal, get_time=lambda: now_s[0])
    task = bar.add_task("song", total=1.0)
    now_s[0] = 30.0
    assert _left_text(bar, task, 0.25) == "about 90 s left"
    assert _left_text(bar, task, 1.0) == ""
