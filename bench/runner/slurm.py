"""Jobs of SLURM as Dask workers: asked for, asked for again when they end, cancelled at the end."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.errors import BenchError

#: Time in seconds between two requests for the jobs that have ended.
REQUEST_S = 5.0
#: Time in seconds for which a sweep without any job asks again where SLURM refuses one.
REFUSED_S = 600.0


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
        Asks for new jobs in the place of those that have ended: a job may be cancelled, run into
        its time limit or lose its node. To be called again and again. It raises BenchError where
        SLURM has refused every job, at the start or for `REFUSED_S`.

    Raises
    ------
    BenchError
        dask-jobqueue is not installed, the settings do not say what a job is, or SLURM cannot be
        asked or refuses.
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
                f"--scheduler slurm: Dask's settings do not say {key} of a job; say it under "
                "jobqueue.slurm in a file of ~/.config/dask, or in one that DASK_CONFIG names"
            )
    refusals: list[str] = []
    refused: list[Any] = []

    base: Any = SLURMJob

    class ToldJob(base):  # type: ignore[misc] # dask-jobqueue has no types
        """A job whose refusal is noted: Dask would print it and wait for the job for ever."""

        async def start(self) -> None:
            try:
                await super().start()
            except (OSError, RuntimeError) as error:
                refusals.append(_reason(str(error)))
                refused.append(self)
                self.status = Status.running  # Dask takes no other answer here

        async def close(self) -> None:
            if self.job_id is not None:
                await super().close()

    asked_at = last_seen = -math.inf

    def keep_jobs() -> None:
        nonlocal asked_at, last_seen
        for job in refused:
            job.status = Status.failed
        if cluster.scheduler_info["workers"]:
            last_seen = time.monotonic()
            refusals.clear()
        if refusals and time.monotonic() - last_seen > REFUSED_S:
            raise BenchError(
                f"--scheduler slurm: SLURM refuses a job: {refusals[-1]}; what is finished is kept"
            )
        if time.monotonic() - asked_at > REQUEST_S:
            asked_at = time.monotonic()
            for name in [name for name, job in cluster.workers.items() if job in refused]:
                del cluster.workers[name]
            cluster.scale(jobs=n_jobs)

    cluster_class: Any = SLURMCluster
    cluster = cluster_class(job_cls=ToldJob, scheduler_options={"dashboard_address": "127.0.0.1:0"})
    with cluster:
        yield cluster, keep_jobs


def _reason(error: str) -> str:
    r"""Return the lines in which SLURM says why; dask-jobqueue quotes all that sbatch printed.

    Examples
    --------
    >>> _reason("Exit code: 1\nstderr:\nsbatch: error: invalid partition: x\n\n")
    'invalid partition: x'
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("sbatch: ")] or lines[:1]
    return "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in said)
