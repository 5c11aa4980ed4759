from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.methods.separator import Separator, separator


@separator
class Learner(Separator):
    """A method that learns one number."""

    def fit(self, tracks, dev=(), context=None):
        self.level_ = 1.0
        return self

    def separate(self, mixture, rate):
        raise NotImplementedError


def test_what_was_learnt_is_on_the_disk_before_save_returns(tmp_path, monkeypatch):
    synced = {}
    sync = os.fsync

    def recorded(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced[path] = path.read_bytes() if path.is_file() else sorted(path.iterdir())
        sync(descriptor)

    monkeypatch.setattr("os.fsync", recorded)
    Learner().fit([]).save(tmp_path)
    files = [tmp_path / "separator.json", tmp_path / "weights.safetensors"]
    assert synced == {path: path.read_bytes() for path in files} | {tmp_path: files}
    assert list(synced)[-1] == tmp_path
    assert Learner.load(tmp_path).level_ == 1.0


@pytest.mark.parametrize(
    ("number", "is_refused"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)]
)
def test_a_file_system_that_cannot_flush_folders_is_no_error(
    tmp_path, monkeypatch, number, is_refused
):
    def no_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", no_folders)
    method = Learner().fit([])
    if is_refused:
        with pytest.raises(OSError, match="Input/output error"):
            method.save(tmp_path)
    else:
        method.save(tmp_path)
        assert Learner.load(tmp_path).level_ == 1.0


def test_a_hyperparameter_of_the_training_cannot_be_changed_after_it(tmp_path):
    Learner().fit([]).save(tmp_path)
    with pytest.raises(BenchError, match="no hyperparameter after training 'level'"):
        Learner.load(tmp_path, level=2)
