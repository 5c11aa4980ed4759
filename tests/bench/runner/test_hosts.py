"""The trainings that a second host waits for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.plan.cells import cells
from bench.plan.experiment import Experiment
from bench.runner import hosts
from bench.runner.job import Job
from bench.store.cell_folder import CellFolder
from bench.store.claim import claimed
from bench.store.files import server_time
from bench.store.trained import member_folders, training_folder
from tests.command import wait_until


@pytest.fixture
def pending(tmp_path) -> list[CellFolder]:
    """An ensemble of two networks, and a row that needs the training of another cell."""
    methods = [
        {"method": "drnn", "label": "Two", "fixed": {"ensemble": 2, "recurrent": "none"}},
        {"method": "hsu_jang", "label": "Late", "fixed": {"evidence": 0.5}},
    ]
    experiment = Experiment(
        name="x", title="t", why="w", dataset="synthetic", seeds=[0], methods=methods
    )
    return [CellFolder(tmp_path, cell) for cell in cells(experiment, Synthetic())]


def test_a_host_waits_for_no_training_whose_cells_have_failed(tmp_path, pending):
    ensemble, late = pending
    first, second = member_folders(ensemble)
    job = Job(tmp_path, Path(), "cpu", 1, "commit", began=server_time(tmp_path) - 60)
    joined: list[int] = []
    thread = threading.Thread(target=lambda: joined.append(hosts.join(job, pending)), daemon=True)
    first.fail("Error: out of memory", "")
    thread.start()
    thread.join(2)
    assert thread.is_alive()  # the second member may be called, and so may the other row's training
    assert training_folder(late).path != late.path
    ensemble.fail("Error: out of memory", "")
    late.fail("Error: no test track", "")
    thread.join(30)
    assert joined == [0]
    assert not second.path.exists()


def test_a_host_answers_only_a_call_under_the_claim_in_force(tmp_path, pending, monkeypatch):
    ensemble, late = pending
    first, _ = member_folders(ensemble)
    joined: list[Path] = []
    monkeypatch.setattr(hosts, "_train_along", lambda _, folder: joined.append(folder.path) or 1)
    monkeypatch.setattr(hosts, "CALL_POLL_S", 0.01)
    job = Job(tmp_path, Path(), "cpu", 1, "commit", began=server_time(tmp_path) - 60)
    first.begin()
    first.call("claim.1.json")  # by a run that was killed
    thread = threading.Thread(target=hosts.join, args=(job, pending), daemon=True)
    with claimed(first.path), claimed(first.path.parent / "other"):
        (first.path / "claim.1.json").rename(first.path / "claim.2.json")
        thread.start()
        thread.join(0.5)
        assert joined == []
        first.call("claim.2.json")
        wait_until(lambda: joined, "the call to be answered")
        thread.join(0.5)
    assert joined == [first.path]
    ensemble.fail("Error: out of memory", "")
    late.fail("Error: no test track", "")
    thread.join(30)


def test_a_waiting_host_seldom_asks_the_clock_of_the_file_server(tmp_path, pending, monkeypatch):
    n_asked = 0

    def asked(folder: Path) -> float:
        nonlocal n_asked
        n_asked += 1
        return server_time(folder)

    monkeypatch.setattr(hosts, "server_time", asked)
    monkeypatch.setattr(hosts, "CALL_POLL_S", 0.01)
    job = Job(tmp_path, Path(), "cpu", 1, "commit", began=server_time(tmp_path) - 60)
    thread = threading.Thread(target=hosts.join, args=(job, pending), daemon=True)
    thread.start()
    thread.join(1)
    for folder in pending:
        folder.fail("Error: out of memory", "")
    thread.join(30)
    assert n_asked == 1


def test_a_host_stops_with_a_line_once_the_first_host_computes_nothing(
    tmp_path, pending, monkeypatch
):
    monkeypatch.setattr(hosts, "SILENT_S", 0.5)
    job = Job(tmp_path, Path(), "cpu", 1, "commit", began=server_time(tmp_path))
    refused: list[str] = []

    def wait() -> None:
        try:
            hosts.join(job, pending)
        except BenchError as error:
            refused.append(str(error))

    with claimed(pending[1].path):
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        time.sleep(1.5)
        assert thread.is_alive()  # the first host computes a cell that needs no other host
    thread.join(30)
    assert "NODE_RANK=0 has computed no cell" in refused[0]
