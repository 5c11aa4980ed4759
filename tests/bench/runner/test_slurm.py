"""Sweeps on a real SLURM of one node: jobs are cancelled, lost, refused, and gone at the end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests import slurm
from tests.command import bench, end, ran, start, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing() or "SLURM is here"),
]

METHOD = """\
import os, time
from pydantic import Field
from bench.methods.separator import Separator, separator


@separator
class Noted(Separator):
    '''Takes its time, and notes the job that separates each track.'''

    share: float = Field(0.5)

    def separate(self, mixture, rate):
        with open('log', 'a') as file:
            file.write(f"{os.environ.get('SLURM_JOB_ID')}\\n")
        time.sleep(float(os.environ.get('WAIT_S', 0)))
        return {'vocals': self.share * mixture, 'accompaniment': (1 - self.share) * mixture}
"""
SWEEP = """\
title: Sweep
why: A test.
dataset: synthetic
examples: false
keep_estimates: true
methods:
  - {method: 'noted:Noted', label: "Share {share}", sweep: {share: [0.1, 0.2, 0.3]}}
"""
JOBS = """\
distributed: {{deploy: {{lost-worker-timeout: 1s}}}}
jobqueue:
  slurm:
    cores: 1
    memory: {memory}
    walltime: "00:10:00"
    interface: lo
    python: {python}
    log-directory: logs
    job_script_prologue: ["export OMP_NUM_THREADS=1"]
"""
WORDS = ("run", "sweep.yaml", "--scheduler", "slurm", "--workers", "2")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with slurm.slurm():
        yield


@pytest.fixture(autouse=True)
def sweep(workspace, monkeypatch) -> Path:
    """A working directory with a sweep of three cells, and settings for jobs."""
    Path("noted.py").write_text(METHOD)
    Path("sweep.yaml").write_text(SWEEP)
    Path("dask").mkdir()
    Path("dask/slurm.yaml").write_text(JOBS.format(memory="1GB", python=sys.executable))
    monkeypatch.setenv("DASK_CONFIG", str(workspace / "dask"))
    monkeypatch.syspath_prepend(str(workspace))
    return workspace


def separations() -> list[str]:
    """Return the job of each separation so far."""
    log = Path("log")
    return log.read_text().split() if log.is_file() else []


def job_after(job: str) -> str:
    """Wait until another job than those before has separated a track, and return it."""
    wait_until(lambda: separations() and int(separations()[-1]) > int(job), "another job")
    return separations()[-1]


def test_cells_of_jobs_that_are_cancelled_or_lose_their_node_are_taken_over(workspace):
    run = start(*WORDS, WAIT_S="1")
    try:
        # With the loss of the node, more deaths than a cell may cause on local workers.
        first = job_after("0")
        slurm.output_of("scancel", *slurm.jobs())
        second = job_after(first)
        slurm.output_of("scancel", *slurm.jobs())
        job_after(second)
        slurm.output_of("scontrol", "update", f"nodename={slurm.NODE}", "state=down", "reason=test")
        n_before = len(separations())
        wait_until(
            lambda: slurm.output_of("sinfo", "-h", "-o", "%T").startswith("down"), "the loss"
        )
        slurm.output_of("scontrol", "update", f"nodename={slurm.NODE}", "state=resume")
        wait_until(lambda: len(separations()) > n_before or run.poll() is not None, "work")
        said, _ = run.communicate(timeout=300)
    finally:
        end(run)
    assert "3 cells: 3 computed, 0 reused, 0 failed" in said
    wait_until(lambda: not slurm.jobs(), "the end of all jobs")
    # What a job has separated is kept: a track is separated twice where a job ended amid it.
    assert len(separations()) <= 3 * 8 + len(set(separations()))
    scores = pd.read_parquet("reports/sweep/scores.parquet")

    Path("alone").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("alone")
        Path("sweep.yaml").write_text(SWEEP)
        assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert scores.equals(pd.read_parquet("alone/reports/sweep/scores.parquet"))


def test_a_job_that_is_cancelled_before_its_worker_joins_is_submitted_anew():
    slurm.output_of("scontrol", "update", f"nodename={slurm.NODE}", "state=drain", "reason=test")
    run = start(*WORDS)
    try:
        wait_until(lambda: len(slurm.jobs()) == 2, "two jobs that wait")
        slurm.output_of("scancel", *slurm.jobs())
        slurm.output_of("scontrol", "update", f"nodename={slurm.NODE}", "state=resume")
        said, _ = run.communicate(timeout=300)
    finally:
        end(run)
    assert "3 cells: 3 computed, 0 reused, 0 failed" in said


def test_jobs_that_end_before_their_workers_join_end_the_sweep_with_a_line(workspace):
    settings = JOBS.format(memory="1GB", python=sys.executable).replace("export OMP", "exit 1; OMP")
    Path("dask/slurm.yaml").write_text(settings)
    said = ran(*WORDS, status=2)
    assert "jobs have ended, and no worker of theirs has joined" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "number"),
    [("a sweep that is told to stop", signal.SIGTERM), ("one that is killed", signal.SIGKILL)],
)
def test_jobs_end_with_their_sweep(words, number):
    run = start(*WORDS, WAIT_S="1")
    try:
        wait_until(lambda: len(set(separations())) == 2, "two jobs at work")
        run.send_signal(number)
        run.wait(60)
        wait_until(lambda: not slurm.jobs(), f"the end of the jobs of {words}")
    finally:
        end(run)


def test_a_job_that_slurm_refuses_is_one_line(workspace):
    Path("dask/slurm.yaml").write_text(JOBS.format(memory="900GB", python=sys.executable))
    said = ran(*WORDS, status=2)
    refusals = [line for line in said.splitlines() if "SLURM refuses a job: " in line]
    assert len(refusals) == 1
    assert "Memory specification can not be satisfied" in refusals[0]
    assert "Traceback" not in said
    assert slurm.jobs() == []
