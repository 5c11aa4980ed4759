"""Runs the command line, in this process or as a user does, for the tests of this folder."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import dask
import pytest

from bench.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def bench(*words: str) -> int:
    """Run a command as the entry point does and return its exit status."""
    kept = sys.argv
    sys.argv = ["bench", *map(str, words)]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = kept
    return 0


def run_in(folder: Path, name: str, experiment: str, store: Path) -> Path:
    """Run an experiment in a folder of its own, with a copy of an empty store; return the folder.

    Parameters
    ----------
    folder
        The working directory, which is there.
    name, experiment
        Name and text of the experiment file.
    store
        MLflow's database.
    """
    shutil.copy(store, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(experiment)
        assert bench("run", name, "--workers", "0") == 0
    return folder


class Command:
    """A command in a process group of its own, with the part of `subprocess.Popen` used here.

    It is a fork of a server that has imported what commands need, since imports take 10 s of a slow
    core; the tests of the installed command and of README start theirs from nothing.
    """

    def __init__(self, words: Sequence[str], module: str, environment: Mapping[str, str]) -> None:
        with tempfile.NamedTemporaryFile("w", delete=False, suffix=".log") as log:
            self.log = Path(log.name)
        self.process = _FORKS.Process(
            target=_run, args=(words, module, dict(environment), self.log), daemon=False
        )
        self.process.start()
        self.pid = self.process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("bench", timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for the end; return what the command has said, and None as `Popen` does."""
        self.wait(timeout)
        return self.log.read_text(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


#: Imported once by the server whose forks are the commands.
PRELOAD = (
    "bench.cli.main",
    "bench.runner.cell",
    "dask.distributed",
    "mlflow.store.tracking.sqlalchemy_store",
    "pytorch_lightning",
    "sklearn.decomposition",
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(list(PRELOAD))


def _run(words: Sequence[str], module: str, environment: Mapping[str, str], log: Path) -> None:
    """Run a command in this process, a fork, as if it had been started from nothing."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    if "DASK_CONFIG" in environment:  # else read where Dask is imported, in the server
        dask.config.refresh(paths=[environment["DASK_CONFIG"]])
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout, sys.stderr = (
        open(stream, "w", buffering=1, closefd=False)  # noqa: SIM115 - open to the end
        for stream in (1, 2)
    )
    sys.argv = [module or "bench", *words]
    if module:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        main()


def start(*words: str, module: str = "", **environment: str) -> Command:
    """Start a command, or a module's, in a process group of its own in the working directory.

    The working directory is where it finds modules of methods. Output is read by `communicate`.
    """
    path = os.pathsep.join([str(Path.cwd()), str(ROOT)])
    return Command(words, module, {**os.environ, "PYTHONPATH": path, **environment})


def ran(*words: str, status: int = 0, **environment: str) -> str:
    """Run a command to its end, check its exit status, and return what it said."""
    process = start(*words, **environment)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        end(process)
    assert process.returncode == status, said
    return said


def end(command: Command) -> None:
    """Kill what is left of the process group of a command."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)
    command.process.kill()  # one that has no group of its own yet
    command.wait(60)
    command.log.unlink(missing_ok=True)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


class Cluster:
    """A Dask scheduler and workers, started as a user does."""

    def __init__(self) -> None:
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = start("scheduler", *_LOCAL, "--port", str(port), module="dask")
        self.workers: list[Command] = []

    def add_worker(self, *options: str) -> None:
        """Start a worker of one thread; `options` are its further words."""
        words = ["worker", self.address, *_LOCAL, "--nthreads", "1", "--no-nanny", *options]
        self.workers.append(start(*words, module="dask"))

    def replace_dead_workers(self) -> None:
        """Start a worker for each that has ended, as whoever runs the cluster does."""
        for worker in [worker for worker in self.workers if worker.poll() is not None]:
            self.workers.remove(worker)
            end(worker)
            self.add_worker()


_LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]


@contextlib.contextmanager
def cluster(*workers: list[str]) -> Iterator[Cluster]:
    """Start a cluster and yield it; `workers` are the further words of each worker."""
    running = Cluster()
    try:
        for options in workers:
            running.add_worker(*options)
        yield running
    finally:
        for process in (running.scheduler, *running.workers):
            end(process)
