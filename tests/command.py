"""Runs the command line, in this process or as a user does, for the tests of this folder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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


def start(*words: str, module: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start a command, or a module's, in a process group of its own in the working directory.

    The working directory is where it finds modules of methods. Output is read by `communicate`.
    """
    python = ["-m", module] if module else ["-c", "from bench.cli.main import main; main()"]
    path = os.pathsep.join([str(Path.cwd()), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, *python, *words],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ran(*words: str, status: int = 0, **environment: str) -> str:
    """Run a command to its end, check its exit status, and return what it said."""
    process = start(*words, **environment)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        end(process)
    assert process.returncode == status, said
    return said


def end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a process group that `start` began."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


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


@contextlib.contextmanager
def cluster(*workers: list[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a Dask scheduler and workers as a user does; yield its address and process.

    `workers` are the further words of each.
    """
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    processes = [start("scheduler", *here, "--port", str(port), module="dask")]
    try:
        for options in workers:
            words = ["worker", address, *here, "--nthreads", "1", *options]
            processes.append(start(*words, module="dask"))
        yield address, processes[0]
    finally:
        for process in processes:
            end(process)
