"""Which jobs of SLURM count as lost, by a cluster without SLURM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.errors import BenchError
from bench.runner import slurm


@dataclass
class SubmittedJob:
    """A job as dask-jobqueue keeps it."""

    job_id: str | None
    refusal: str = ""
    status: Any = None


@dataclass
class Cluster:
    """A cluster that submits nothing by itself."""

    workers: dict[str, SubmittedJob] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)

    @property
    def scheduler_info(self) -> dict[str, Any]:
        """The workers that have joined, as Dask's scheduler names them."""
        return {"workers": {f"tcp://{name}": {"name": name} for name in self.joined}}

    def scale(self, jobs: int) -> None:
        """Submit nothing."""


@pytest.fixture
def queue(monkeypatch) -> set[str]:
    """The identifiers that squeue lists; it is asked at every look."""
    queued: set[str] = set()
    monkeypatch.setattr(slurm, "_queued", lambda: queued)
    monkeypatch.setattr(slurm, "QUEUE_POLL_S", -1.0)
    monkeypatch.setattr(slurm, "FAILED_ROUNDS", 2)
    return queued


@pytest.mark.parametrize("worker", ["job-0", "job-0-1"])
def test_a_job_whose_worker_had_joined_is_not_lost(queue, worker):
    cluster = Cluster({"job-0": SubmittedJob("1")}, [worker])
    jobs = slurm._Jobs(cluster, 1)
    queue.add("1")
    jobs.keep()
    queue.clear()
    cluster.joined.clear()  # at its time limit
    jobs.keep()
    cluster.workers["job-0"] = SubmittedJob("2")  # on a node that is lost before it joins
    jobs.keep()
    cluster.workers["job-0"] = SubmittedJob("3")
    with pytest.raises(BenchError, match="the last 2 jobs have ended, and no worker of theirs"):
        jobs.keep()


def test_a_job_that_is_accepted_while_squeue_answers_stays(monkeypatch, queue):
    cluster = Cluster({"job-0": SubmittedJob("1")})
    jobs = slurm._Jobs(cluster, 2)

    def answer() -> set[str]:
        cluster.workers["job-1"] = SubmittedJob("2")
        return {"1"}

    monkeypatch.setattr(slurm, "_queued", answer)
    jobs.keep()
    assert sorted(cluster.workers) == ["job-0", "job-1"]
