"""Jobs of SLURM as Dask workers: submitted, resubmitted when they end, cancelled at the end."""

from __future__ import annotations

import contextlib
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.errors import BenchError

#: Time in seconds between two submissions in the place of jobs that have ended.
SUBMIT_INTERVAL_S = 5.0
#: Polling interval in seconds: how often to look at the queue.
QUEUE_POLL_S = 10.0
#: A sweep ends if SLURM refuses its jobs and has taken none for this time in seconds.
REFUSED_S = 600.0
#: A sweep ends after this many times `n_jobs` jobs in a row have ended without a worker.
FAILED_ROUNDS = 2


@contextlib.contextmanager
def slurm_cluster(n_jobs: int) -> Iterator[tuple[Any, Callable[[], None]]]:
    """Yield a cluster of jobs, as the key ``jobqueue.slurm`` of Dask's settings states.

    Parameters
    ----------
    n_jobs
        Number of jobs.

    Yields
    ------
    cluster
        The cluster. Its jobs are cancelled when it is left.
    keep_jobs
        `_Jobs.keep`, to be called again and again.

    Raises
    ------
    BenchError
        dask-jobqueue is not installed, or the settings do not say what a job is.
    """
    import dask
    from distributed.core import Status

    try:
        from dask_jobqueue.slurm import SLURMCluster, SLURMJob
    except ImportError:
        raise BenchError(
            "--scheduler slurm needs dask-jobqueue: pip install 'singing-voice-bench[slurm]'"
        ) from None
    for key in ("cores", "memory"):
        if dask.config.get(f"jobqueue.slurm.{key}", None) is None:
            raise BenchError(
                f"--scheduler slurm: Dask's settings lack the {key} of a job; set it under "
                "jobqueue.slurm in a file of ~/.config/dask, or in one that DASK_CONFIG names"
            )
    job_class: Any = SLURMJob
    cluster_class: Any = SLURMCluster

    class ReportingJob(job_class):  # type: ignore[misc] # dask-jobqueue has no types
        """A job that keeps SLURM's refusal; Dask would print it and wait for the job for ever."""

        refusal = ""

        async def start(self) -> None:
            try:
                await super().start()
            except (OSError, RuntimeError, ValueError) as error:
                self.refusal = _reason(str(error))
                self.status = Status.running  # Dask takes no other answer here

        async def close(self) -> None:
            if self.job_id is None:
                self.status = Status.failed
            else:
                await super().close()

    with cluster_class(
        job_cls=ReportingJob, scheduler_options={"dashboard_address": "127.0.0.1:0"}
    ) as cluster:
        yield cluster, _Jobs(cluster, n_jobs).keep


class _Jobs:
    """Keeps a number of jobs in the queue.

    Parameters
    ----------
    cluster
        Dask's cluster of jobs. Its loop runs in another thread.
    n_jobs
        Number of jobs.
    """

    def __init__(self, cluster: Any, n_jobs: int) -> None:
        self._cluster, self._n_jobs = cluster, n_jobs
        self._submitted_at = self._looked_at = self._accepted_at = -math.inf
        self._n_lost = 0
        self._joined: set[str] = set()

    def keep(self) -> None:
        """Submit jobs in the place of those that have ended.

        A job may be cancelled, run into its time limit, lose its node, or end before a worker of
        its own has joined.

        Raises
        ------
        BenchError
            SLURM has refused every job, at the start or for `REFUSED_S`; or the last jobs, as many
            as `FAILED_ROUNDS` says, have ended without a worker.
        """
        now = time.monotonic()
        jobs = list(self._cluster.workers.values())
        self._note_joined()
        if any(job.job_id is not None for job in jobs):
            self._accepted_at = now
        refusals = [job.refusal for job in self._drop(lambda job: bool(job.refusal)).values()]
        if refusals and now - self._accepted_at > REFUSED_S:
            raise BenchError(
                f"--scheduler slurm: SLURM refuses a job: {refusals[-1]}; what is finished is kept"
            )
        if now - self._looked_at > QUEUE_POLL_S:
            self._looked_at = now
            self._drop_ended()
        if now - self._submitted_at > SUBMIT_INTERVAL_S:
            self._submitted_at = now
            self._cluster.scale(jobs=self._n_jobs)

    def _note_joined(self) -> None:
        """Note the jobs of which a worker has joined."""
        workers = [str(w["name"]) for w in self._cluster.scheduler_info["workers"].values()]
        if workers:
            self._n_lost = 0
        for job in list(self._cluster.workers):
            # The workers of a job with several processes are called after it and a number.
            if any(name == job or name.startswith(f"{job}-") for name in workers):
                self._joined.add(job)

    def _drop_ended(self) -> None:
        """Drop the jobs that are not in the queue any more.

        Raises
        ------
        BenchError
            The last jobs have ended without a worker.
        """
        submitted = {job.job_id for job in list(self._cluster.workers.values())} - {None}
        queued = _queued()  # a job that SLURM accepts after this is not in it
        if queued is None:
            return
        ended = self._drop(lambda job: job.job_id in submitted - queued)
        self._n_lost += len(ended.keys() - self._joined)
        self._joined -= ended.keys()
        if self._n_lost >= FAILED_ROUNDS * self._n_jobs:
            raise BenchError(
                f"--scheduler slurm: the last {self._n_lost} jobs have ended, and no worker of "
                "theirs has joined: look at what they have printed, in the folder that "
                "log_directory of jobqueue.slurm names, or else in this one"
            )

    def _drop(self, is_over: Callable[[Any], bool]) -> dict[str, Any]:
        """Drop the jobs that are over, so that others are submitted; return them by name."""
        from distributed.core import Status

        over = {name: job for name, job in list(self._cluster.workers.items()) if is_over(job)}
        for name, job in over.items():
            job.status = Status.failed  # else Dask refuses to close its cluster
            self._cluster.workers.pop(name, None)
        return over


def _queued() -> set[str] | None:
    """Return the identifiers of this user's jobs that wait or run; None where squeue fails."""
    command = ["squeue", "--me", "--noheader", "--format=%i"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(done.stdout.split())


def _reason(error: str) -> str:
    r"""Return the lines in which SLURM says why; dask-jobqueue quotes all that sbatch printed.

    Examples
    --------
    >>> _reason("Exit code: 1\nstderr:\nsbatch: error: invalid partition: x\n\n")
    'invalid partition: x'
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("sbatch: ")] or lines[:1]
    return "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in reasons)
