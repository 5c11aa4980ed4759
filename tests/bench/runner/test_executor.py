"""Where work runs: local workers, workers that joined a scheduler, several hosts."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client

from bench.runner import dask_cluster
from bench.runner.job import JobResult
from tests.command import bench, cluster, end, free_port, ran, start

SWEEP = """\
title: Sweep
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ratio}
  - {method: nmf, label: NMF, fixed: {atoms: 3, iterations: 10}}
  - method: drnn
    label: DNN
    fixed: {hidden: 12, layers: 2, recurrent: 1, epochs: 2, precision: float32}
"""


class Noted:
    """Notes when it worked on a cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, cell: str) -> JobResult:
        begun = time.time()
        time.sleep(1.5)  # far longer than a busy machine takes to start the next cell
        (self.folder / cell).write_text(f"{begun} {time.time()}")
        return JobResult("done")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> pd.DataFrame:
    """The scores of the sweep in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("alone"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Path("sweep.yaml").write_text(SWEEP)
        assert bench("run", "sweep.yaml", "--workers", "0") == 0
        return pd.read_parquet("reports/sweep/scores.parquet")


def check_same_scores(alone: pd.DataFrame) -> None:
    scores = pd.read_parquet("reports/sweep/scores.parquet")
    keys = ["row", "track", "target", "metric"]
    assert scores[keys].equals(alone[keys])
    ours, theirs = scores["value"].to_numpy(), alone["value"].to_numpy()
    finite = np.isfinite(theirs)
    assert np.array_equal(finite, np.isfinite(ours))
    assert np.abs(ours[finite] - theirs[finite]).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 4])
def test_local_workers_give_the_scores_of_one_process(workspace, alone, n):
    Path("sweep.yaml").write_text(SWEEP)
    said = ran("run", "sweep.yaml", "--workers", str(n))
    assert "4 cells: 4 computed, 0 reused, 0 failed" in said
    check_same_scores(alone)


@pytest.mark.slow
def test_two_devices_of_a_worker_train_one_model_as_one_does(workspace, alone):
    Path("sweep.yaml").write_text(SWEEP)
    devices = ["--trainer", "devices=2", "--trainer", "strategy=ddp_fork"]
    ran("run", "sweep.yaml", "--workers", "1", *devices)
    scores = pd.read_parquet("reports/sweep/scores.parquet")
    ours, theirs = (s[s["row"] == "DNN"]["value"].to_numpy() for s in (scores, alone))
    assert 0 < np.abs(ours - theirs).max() < 0.01  # a sum of two parts is rounded otherwise


@pytest.mark.slow
def test_two_hosts_train_one_model_as_one_does(workspace, alone, monkeypatch):
    Path("sweep.yaml").write_text(SWEEP)
    words = ["run", "sweep.yaml", "--workers", "0", "--trainer", "num_nodes=2"]
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    second = start(*words, NODE_RANK="1")
    try:
        ran(*words, NODE_RANK="0")
        said, _ = second.communicate(timeout=60)
    finally:
        end(second)
    assert said.endswith("host 1: joined 1 trainings, and the first host has the results\n")
    scores = pd.read_parquet("reports/sweep/scores.parquet")
    ours, theirs = (s[s["row"] == "DNN"]["value"].to_numpy() for s in (scores, alone))
    assert 0 < np.abs(ours - theirs).max() < 0.01  # a sum of two parts is rounded otherwise


def test_several_hosts_are_told_apart_or_refused_in_one_line(workspace, capsys, monkeypatch):
    Path("sweep.yaml").write_text(SWEEP)
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    words = ["run", "sweep.yaml", "--trainer", "num_nodes=2"]
    assert bench(*words, "--workers", "2") == 2
    assert bench(*words, "--workers", "0") == 2
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1234")
    monkeypatch.setenv("NODE_RANK", "2")
    assert bench(*words, "--workers", "0") == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 3
    assert "needs --workers 0" in err[0]
    assert err[1].endswith("not set: MASTER_ADDR, MASTER_PORT, NODE_RANK")
    assert err[2].endswith("a NODE_RANK of its own, 0 to 1")
    assert not Path("runs").exists()


@pytest.mark.parametrize("word", ["max_epochs=3", "devices=0", "strategy=ddp", "num_nodes=x"])
def test_a_setting_of_the_trainer_that_could_move_numbers_is_refused(workspace, capsys, word):
    Path("sweep.yaml").write_text(SWEEP)
    assert bench("run", "sweep.yaml", "--trainer", word) == 2
    err = capsys.readouterr().err
    assert f"--trainer {word}: known are devices=N, num_nodes=N and strategy=" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_workers_of_a_scheduler_give_the_scores_of_one_process(workspace, alone):
    Path("sweep.yaml").write_text(SWEEP)
    with cluster([], []) as dask:
        said = ran("run", "sweep.yaml", "--scheduler", dask.address)
    assert "4 cells: 4 computed, 0 reused, 0 failed" in said
    check_same_scores(alone)


def test_slurm_without_settings_is_refused_in_one_line(workspace, capsys):
    Path("sweep.yaml").write_text(SWEEP)
    assert bench("run", "sweep.yaml", "--scheduler", "slurm") == 2
    err = capsys.readouterr().err
    assert "set it under jobqueue.slurm in a file of ~/.config/dask" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_cells_for_a_gpu_queue_for_the_one_that_is_offered_and_others_go_on(workspace):
    cells = ["gpu 1", "gpu 2", "gpu 3", "cpu 1", "cpu 2"]
    with (
        cluster(["--resources", "GPU=1"], []) as dask,
        Client(dask.address) as client,
    ):
        client.wait_for_workers(2)
        ended = dask_cluster.run_on(
            client, Noted(workspace), cells, print, lambda cell: cell.startswith("gpu")
        )
        assert {cell for cell, _ in ended} == set(cells)
    times = {c: [float(t) for t in (workspace / c).read_text().split()] for c in cells}
    on_gpu = sorted(times[cell] for cell in cells if cell.startswith("gpu"))
    assert on_gpu[0][1] <= on_gpu[1][0] < on_gpu[1][1] <= on_gpu[2][0]
    assert min(times[cell][0] for cell in ("cpu 1", "cpu 2")) < on_gpu[1][0]


class _Cluster:
    """A client of workers of one thread, some of which offer a GPU."""

    def __init__(self, gpus):
        workers = [{"name": n, "nthreads": 1, "resources": {"GPU": g}} for n, g in enumerate(gpus)]
        self.info = {"workers": dict(enumerate(workers))}

    def scheduler_info(self):
        return self.info


@pytest.mark.parametrize(
    ("gpus", "cells", "on_gpu", "others"),
    [
        ([], "gcc", 1, 1),  # a cluster grows once work waits
        ([1, 1], "ggc", 2, 0),  # no cell queues behind another
        ([1, 0], "gc", 1, 1),
        ([1, 0], "cc", 1, 2),  # a GPU that no cell asks for
        ([0, 0], "gc", 1, 2),
    ],
)
def test_no_cell_is_sent_to_a_worker_that_has_one(gpus, cells, on_gpu, others):
    free = dask_cluster._free_slots(_Cluster(gpus), cells, lambda cell: cell == "g")
    assert free == {True: on_gpu, False: others}
