"""Which process computes a cell: a claim in the cell's folder, which ends with its process.

    runs/<fingerprint>/claim.<n>.json     host and process; the highest n is in force

A process makes a claim by a hard link to a file that it has already locked; only one process on any
host can make the link. On the same machine a claim is alive while the lock is held, and the kernel
releases the lock with the process, however the process ends. Another machine may not see the lock;
there a claim is alive while its modification time, a heartbeat, is younger than `STALE_S` by the
clock of the file server. The next claim has the next number, so that two processes that find the
same claim dead cannot both succeed. A process whose claim was taken over sees this before it writes
a score.

Neither library for file locks does both. flufl.lock makes hard links too, but breaks a lock only
after its lifetime: a killed process blocks its cell for that long on its own machine, and the
expiry is written by the clock of one host and read by that of another. filelock offers the kernel's
lock, which other hosts may not see, or a plain file, which a killed process leaves behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.store.files import FolderError, read_json

#: Interval of heartbeats, and age after which a claim from another machine is dead, in seconds.
BEAT_S, STALE_S = 5.0, 60.0

#: Files whose locks keep the claims of this process alive.
_HELD: set[IO[str]] = set()


def _let_go() -> None:
    """Close the claims of the parent in a process that was forked.

    A lock lives as long as any process has its file open, and a training on several devices forks.
    """
    for file in _HELD:
        file.close()
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


@dataclass(frozen=True)
class Claim:
    """The right to compute a cell; see `claimed`."""

    path: Path

    def holds(self) -> bool:
        """Return whether no other process has taken the claim over."""
        return newest(self.path.parent) == self.path

    def _send_heartbeats(self, released: threading.Event) -> None:
        """Set the modification time of the claim every `BEAT_S` until it is released."""
        while not released.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(self.path)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Claim | None]:
    """Claim a cell's folder, created if missing; yield None if a living process holds it.

    Raises
    ------
    FolderError
        The folder cannot be written.
    """
    part = folder / f".claim.{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = part.open("x")
    except OSError as error:
        raise FolderError(f"{folder} cannot be written: {error.strerror}") from None
    with file:
        try:
            with contextlib.suppress(OSError):  # a file system without locks: the heartbeat decides
                fcntl.flock(file, fcntl.LOCK_EX)
            json.dump({"host": platform.node(), "pid": os.getpid(), "machine": _boot_id()}, file)
            file.flush()
            os.utime(part)
            claim = _take(folder, part)
        except OSError as error:
            raise FolderError(f"{folder} cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
        if claim is None:
            yield None
            return
        _HELD.add(file)
        released = threading.Event()
        thread = threading.Thread(target=claim._send_heartbeats, args=[released], daemon=True)
        thread.start()
        try:
            yield claim
        finally:
            released.set()
            thread.join()
            _HELD.discard(file)
            with contextlib.suppress(OSError):
                os.utime(claim.path, (0, 0))


def _take(folder: Path, part: Path) -> Claim | None:
    """Link a claim to the next number, unless the one in force is alive or another is faster."""
    last = newest(folder)
    if last is not None and _is_alive(last, part.stat().st_mtime):
        return None
    path = folder / f"claim.{_number(last) + 1}.json"
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return None
    if newest(folder) != path:  # the list of files was changing while it was read
        path.unlink(missing_ok=True)
        return None
    for older in _claims(folder):
        if _number(older) < _number(path):
            older.unlink(missing_ok=True)
    return Claim(path)


def _is_alive(path: Path, now: float) -> bool:
    """Return whether the process that made a claim still runs.

    Parameters
    ----------
    path
        The claim.
    now
        The present time by the clock of the file server.
    """
    try:
        changed = path.stat().st_mtime
        if changed == 0:
            return False
        if _owner(path).get("machine") == _boot_id():
            with path.open() as file, contextlib.suppress(OSError):
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
                return False
    except FileNotFoundError:  # taken over at this moment
        return True
    return now - changed < STALE_S


def holder(folder: Path, now: float | None = None) -> dict[str, Any] | None:
    """Return host and process that compute a cell now; None if there is no living claim.

    Parameters
    ----------
    folder
        The cell's folder.
    now
        The present time by the clock of the file server (`bench.store.files.server_time`). Without
        it this machine's clock is used, which another host's claims may not agree with.
    """
    last = newest(folder)
    is_held = last is not None and _is_alive(last, time.time() if now is None else now)
    return _owner(last) if last is not None and is_held else None


def _owner(path: Path) -> dict[str, Any]:
    """Return host, process and machine in a claim; an empty mapping if the file is damaged."""
    return read_json(path) or {}


def _claims(folder: Path) -> list[Path]:
    """Return all claims of a folder, also those that are no longer in force."""
    return [p for p in folder.glob("claim.*.json") if re.fullmatch(r"claim\.\d+\.json", p.name)]


def newest(folder: Path) -> Path | None:
    """Return the claim in force, alive or dead."""
    return max(_claims(folder), key=_number, default=None)


def _number(path: Path | None) -> int:
    """Return the number of a claim; 0 for none."""
    return int(path.name.split(".")[1]) if path else 0


def _boot_id() -> str:
    """Return an identifier of this machine that changes when it is restarted."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()
