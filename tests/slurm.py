"""A cluster of SLURM on this machine: one node, started and ended by a test."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import free_port, wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
#: Debian keeps daemons here, and not every user's path names it.
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
NODE = "node"
SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={daemon_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=0
KillWait=1
SchedulerParameters=batch_sched_delay=0,sched_interval=1
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP
"""


def missing() -> str:
    """Return why no cluster can be started here; empty where one can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"SLURM is not installed: no {absent[0]}; in Debian: slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "the daemons of SLURM need root"


def output_of(*words: str) -> str:
    """Return what a command of SLURM prints on its standard output."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def jobs() -> list[str]:
    """Return the identifiers of all jobs that wait or run, or are about to end."""
    return output_of("squeue", "--noheader", "--format=%i").split()


def _wait_or_skip(condition: Callable[[], bool], folder: Path) -> None:
    """Wait for the daemons; skip the tests with their last words where they do not come up here."""
    try:
        wait_until(condition, "SLURM", 60)
    except AssertionError:
        last = ((folder / "log").read_text().splitlines() or ["they say nothing"])[-1]
        pytest.skip(f"SLURM's daemons do not start on this machine: {last}")


@contextlib.contextmanager
def slurm() -> Iterator[None]:
    """Start a cluster, which the environment variable ``SLURM_CONF`` names, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # short: the path of a socket has a limit
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    settings = SETTINGS.format(
        host=socket.gethostname(),
        folder=folder,
        node=NODE,
        controller_port=free_port(),
        daemon_port=free_port(),
    )
    (folder / "slurm.conf").write_text(settings)
    files = {name: folder / f"munge.{name}" for name in ("socket", "log", "pid", "seed")}
    munge = [f"--{name}{'' if name == 'socket' else '-file'}={p}" for name, p in files.items()]
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", NODE],
    ]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        log = stack.enter_context((folder / "log").open("w"))
        for command in commands:
            program = shutil.which(command[0], path=PATH) or command[0]
            daemon = subprocess.Popen([program, *command[1:]], stdout=log, stderr=log)
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
            if command[0] == "munged":
                _wait_or_skip(files["socket"].exists, folder)
        _wait_or_skip(lambda: output_of("sinfo", "-h", "-o", "%T") == "idle", folder)
        try:
            yield
        finally:
            output_of("scancel", *jobs())
