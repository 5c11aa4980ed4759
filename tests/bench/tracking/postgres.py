"""A real PostgreSQL for the tests of tracking, in a folder of its own, on loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import free_port


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server here, or None."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    installed = sorted((p for p in versions if (p / "initdb").is_file()), key=version)
    beside = shutil.which("initdb")
    return installed[-1] if installed else Path(beside).parent if beside else None


def version(folder: Path) -> float:
    """Return the version in the path of a server."""
    return float(folder.parent.name)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Serve an empty database; yield its URI. Skip where no server is installed."""
    programs = binaries()
    if programs is None:
        pytest.skip("needs PostgreSQL, which is not installed: apt-get install postgresql")
    port, user = free_port(), unprivileged()

    def run(*words: object) -> None:
        subprocess.run(
            list(map(str, words)), check=True, stdout=subprocess.DEVNULL, cwd="/", user=user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, timeout=300,
        )  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as scratch:
        Path(scratch).chmod(0o755)
        data = Path(scratch) / "data"
        data.mkdir()
        if user is not None:
            shutil.chown(data, user)
        run(programs / "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8",
            "--no-sync")  # fmt: skip
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k '' -c fsync=off"
        start = ["-D", data, "-l", data / "log", "-o", options, "-t", "120", "-w", "start"]
        run(programs / "pg_ctl", *start)
        try:
            run(programs / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "bench", "mlflow")
            yield f"postgresql://bench@127.0.0.1:{port}/mlflow"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def unprivileged() -> str | None:
    """Return a user to run the server as where we are root, whom it refuses; else None."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
