"""Who may compute a cell: one living process of all, on any machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from bench.store import claim
from bench.store.claim import claimed, holder, newest
from bench.store.files import FolderError, server_time
from tests.command import wait_until


def write_foreign(folder, age_s: float, content: str = '{"machine": "another", "pid": 1}'):
    """Leave the claim of a process on another machine."""
    folder.mkdir(exist_ok=True)
    path = folder / "claim.1.json"
    path.write_text(content)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_of_many_at_once_one_gets_the_cell(tmp_path):
    n = 12
    barrier = threading.Barrier(n, timeout=60)

    def attempt(folder) -> bool:
        barrier.wait()
        with claimed(folder) as own_claim:
            barrier.wait()  # all have tried before anyone lets go
            return own_claim is not None

    with ThreadPoolExecutor(n) as pool:
        for turn in range(25):
            won = list(pool.map(attempt, [tmp_path / str(turn % 5)] * n))
            assert sum(won) == 1


def test_of_many_at_once_one_takes_over_from_a_dead_machine(tmp_path):
    n = 12
    barrier = threading.Barrier(n, timeout=60)

    def attempt(folder) -> bool:
        barrier.wait()
        with claimed(folder) as own_claim:
            barrier.wait()
            return own_claim is not None

    with ThreadPoolExecutor(n) as pool:
        for turn in range(10):
            write_foreign(tmp_path / str(turn), age_s=2 * claim.STALE_S)
            assert sum(pool.map(attempt, [tmp_path / str(turn)] * n)) == 1


HOLD = """\
import sys, time
from pathlib import Path
from bench.store.claim import claimed
with claimed(Path(sys.argv[1])) as mine:
    print(mine is not None, flush=True)
    time.sleep(100)
"""


def test_a_killed_process_loses_its_claim_at_once(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert holder(tmp_path)["pid"] == process.pid
    with claimed(tmp_path) as own_claim:
        assert own_claim is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holder(tmp_path) is None
    with claimed(tmp_path) as own_claim:
        assert own_claim is not None
        assert own_claim.path.name == "claim.2.json"
    assert [path.name for path in tmp_path.iterdir()] == ["claim.2.json"]


def test_a_process_that_was_forked_does_not_keep_the_claim_of_its_parent(tmp_path):
    """A killed parent may leave such a process, for example of a training on two devices."""
    forking = HOLD.replace("print(", "os.fork() or time.sleep(600)\n    print(", 1)
    assert forking != HOLD
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os, time\n{forking}", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        process.stdout.readline()
        assert holder(tmp_path)["pid"] == process.pid
        process.kill()
        process.wait()
        wait_until(lambda: holder(tmp_path) is None, "the claim to be free")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_a_claim_that_was_let_go_is_free_for_every_machine(tmp_path, monkeypatch):
    with claimed(tmp_path) as own_claim:
        assert own_claim is not None
    monkeypatch.setattr(claim, "_boot_id", lambda: "another")
    assert holder(tmp_path) is None
    with claimed(tmp_path) as own_claim:
        assert own_claim is not None


@pytest.mark.parametrize("content", ['{"machine": "another"}', "", "[]", "{", "[" * 100_000])
def test_from_another_machine_a_claim_lives_by_its_heartbeat(tmp_path, content):
    folder = tmp_path / "cell"
    write_foreign(folder, claim.STALE_S / 2, content)
    with claimed(folder) as own_claim:
        assert own_claim is None
    write_foreign(folder, claim.STALE_S * 2, content)
    with claimed(folder) as own_claim:
        assert own_claim is not None
        assert own_claim.path.name == "claim.2.json"


@pytest.mark.parametrize("ahead_s", [-2 * claim.STALE_S, 2 * claim.STALE_S])
def test_a_claim_lives_as_long_on_a_host_whose_clock_is_minutes_off(tmp_path, monkeypatch, ahead_s):
    clock = SimpleNamespace(time=lambda: time.time() + ahead_s)
    monkeypatch.setattr(claim, "time", clock)
    write_foreign(tmp_path, claim.STALE_S / 2, '{"machine": "another"}')
    with claimed(tmp_path) as alive:
        assert alive is None
    write_foreign(tmp_path, claim.STALE_S * 2, '{"machine": "another"}')
    with claimed(tmp_path) as dead:
        assert dead is not None


def test_who_holds_a_cell_can_be_asked_by_the_clock_of_the_file_server(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "time", SimpleNamespace(time=lambda: time.time() + 3600))
    write_foreign(tmp_path, 1.0)
    assert holder(tmp_path) is None, "by a clock that is an hour ahead"
    assert holder(tmp_path, server_time(tmp_path))["pid"] == 1


def test_the_heartbeat_keeps_a_claim_alive_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT_S", 0.05)
    with claimed(tmp_path) as own_claim:
        assert own_claim is not None
        monkeypatch.setattr(claim, "_boot_id", lambda: "another")
        path = own_claim.path
        long_ago = time.time() - 2 * claim.STALE_S
        os.utime(path, (long_ago, long_ago))
        wait_until(lambda: path.stat().st_mtime > long_ago + claim.STALE_S, "a heartbeat")
        with claimed(tmp_path) as other:
            assert other is None


def test_one_that_was_taken_over_finds_so(tmp_path, monkeypatch):
    with claimed(tmp_path) as own_claim:
        assert own_claim is not None
        assert own_claim.holds()
        os.utime(own_claim.path, (1.0, 1.0))  # it was held up for long
        monkeypatch.setattr(claim, "_boot_id", lambda: "another")
        with claimed(tmp_path) as other:
            assert other is not None
            assert not own_claim.holds()
            assert other.holds()


def test_a_late_process_takes_no_number_below_that_of_a_living_claim(tmp_path, monkeypatch):
    write_foreign(tmp_path, 2 * claim.STALE_S)
    is_alive = claim._is_alive

    def held_up(path, now):
        """Let two others take the cell over after this process has seen that the claim is dead."""
        alive = is_alive(path, now)
        path.rename(tmp_path / "claim.3.json")
        os.utime(tmp_path / "claim.3.json")
        return alive

    monkeypatch.setattr(claim, "_is_alive", held_up)
    with claimed(tmp_path) as late:
        assert late is None
    assert [path.name for path in tmp_path.iterdir()] == ["claim.3.json"]


def test_a_claim_names_host_and_process(tmp_path):
    with claimed(tmp_path) as own_claim:
        assert own_claim is not None
        value = json.loads(newest(tmp_path).read_text())
    assert value["pid"] == os.getpid()
    assert value["host"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FolderError, match="file/cell cannot be written: Not a directory"),
        claimed(tmp_path / "file" / "cell"),
    ):
        pass
