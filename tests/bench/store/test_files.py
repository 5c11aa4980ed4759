from __future__ import annotations

import errno
import os

import pytest

from bench.errors import BenchError
from bench.store.files import FolderError, locked, read_json, write_text


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_text(path, '{"a": 1}')

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BenchError, match="No space left on device"):
        write_text(path, '{"a": 2}')
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_in_one_line(tmp_path, monkeypatch, number):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    with (
        pytest.raises(FolderError, match=r"x\.lock cannot be locked: .*; run bench in a folder"),
        locked(tmp_path / "x.lock"),
    ):
        pass


def test_a_lock_in_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FolderError, match="file cannot be written: File exists"),
        locked(tmp_path / "file" / "x.lock"),
    ):
        pass
    (tmp_path / "x.lock").mkdir()
    with (
        pytest.raises(FolderError, match=r"x\.lock cannot be written: Is a directory"),
        locked(tmp_path / "x.lock"),
    ):
        pass


def test_an_error_under_a_lock_is_passed_on_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), locked(tmp_path / "x.lock"):
        (tmp_path / "absent").read_text()
