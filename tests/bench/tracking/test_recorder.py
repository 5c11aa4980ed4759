"""What is recorded where the store refuses a cell, or part of one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from bench.tracking import recorder
from bench.tracking.media import log_pictures
from bench.tracking.recorder import Recorder


class Store:
    """Takes the cells whose names it does not refuse, and keeps them in `taken`."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.taken, self.n_calls = refused, [], 0
        self.followed = []

    def follow(self, folder: str) -> bool:
        self.followed.append(folder)
        return True

    def finish(self, folder: str) -> bool:
        self.n_calls += 1
        if folder in self.refused:
            return False
        self.taken.append(folder)
        return True


def test_a_cell_that_the_store_refuses_keeps_no_other_from_being_recorded():
    store = Store("too large")
    with Recorder(store, ["too large", "a", "b"]) as recorder:
        pass
    assert store.taken == ["a", "b"]
    assert recorder.ended == ["too large"]


def test_a_store_that_is_away_is_asked_twice_and_not_for_every_cell():
    store = Store(*"abcdefgh")
    with Recorder(store, list("abcdefgh")) as recorder:
        pass
    assert store.n_calls == 2
    assert sorted(recorder.ended) == list("abcdefgh")


def test_a_cell_that_the_store_refuses_keeps_no_curve_from_being_sent(monkeypatch):
    monkeypatch.setattr(recorder, "FOLLOW_S", 0.0)
    store = Store("too large")
    with Recorder(store, ["too large"]) as watcher:
        watcher.begin("a")
        time.sleep(0.01)
        assert not watcher._look()
    assert store.followed == ["a"]


def test_pictures_that_an_outage_cut_off_are_completed_and_none_is_sent_twice(
    workspace, monkeypatch
):
    pictures = []
    for step in (1, 2, 3):
        path = workspace / f"{step}.png"
        Image.new("RGB", (4, 4)).save(path)
        pictures.append((step, "dev_mask", path))

    class Folder:
        def pictures(self) -> list[tuple[int, str, Path]]:
            return pictures

    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.create_experiment("e", (workspace / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    send = client.log_image

    def cut_off(*args, step, **settings):
        if step == 2:
            raise OSError("away")
        send(*args, step=step, **settings)

    monkeypatch.setattr(client, "log_image", cut_off)
    with pytest.raises(OSError, match="away"):
        log_pictures(client, run_id, Folder())
    monkeypatch.setattr(client, "log_image", send)
    for _ in range(2):
        log_pictures(client, run_id, Folder())
    names = [Path(item.path).name for item in client.list_artifacts(run_id, "images")]
    steps = [name.split("+")[2] for name in names if name.endswith(".png")]
    assert sorted(steps) == ["1", "2", "3"]
