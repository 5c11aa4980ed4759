"""Whose fault it is that a cell did not end well: its own, or that of a disk."""

from __future__ import annotations

import errno

import pytest

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.runner import failure
from bench.runner.failure import record_failure
from bench.store.cell_folder import CellFolder


@pytest.fixture
def folder(tmp_path):
    cell = Cell("Row", "mixture", "bound", 1, {}, None, "synthetic", {"test": "a" * 64}, {})
    folder = CellFolder(tmp_path, cell)
    folder.begin()
    return folder


def outcome_of(folder, error, cause=None):
    """Raise an error, and return what is made of it."""
    try:
        raise error from cause
    except (OSError, RuntimeError, ValueError) as caught:
        return record_failure(folder, caught)


def test_a_cell_that_fails_by_itself_keeps_its_reason_and_traceback(folder):
    result = outcome_of(folder, ValueError("no such thing"))
    assert (result.status, result.why) == ("failed", "ValueError: no such thing")
    state = folder.state()
    assert state["error"] == result.why
    assert "raise error from cause" in state["traceback"]


def test_a_reason_is_one_line(folder):
    assert outcome_of(folder, RuntimeError("first\nsecond\nthird")).why == "RuntimeError: first"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_is_known_by_the_number_of_the_error_however_far_back(folder, code):
    disk = OSError(code, "words that nobody reads")
    for error, cause in ((disk, None), (RuntimeError("the library's own words"), disk)):
        assert outcome_of(folder, error, cause).status == "stopped"
    assert folder.state().get("stage") != "failed"


def test_another_error_of_the_system_is_the_fault_of_the_cell(folder):
    assert outcome_of(folder, FileNotFoundError(errno.ENOENT, "no file")).status == "failed"


def test_words_about_a_disk_are_no_disk(folder):
    assert outcome_of(folder, BenchError("No space left on device")).status == "failed"


def test_a_library_that_hides_the_number_is_asked_about_by_a_file(folder, monkeypatch):
    monkeypatch.setattr(failure, "_is_writable", lambda path: False)
    assert outcome_of(folder, RuntimeError("write failed")).status == "stopped"
