"""Files that appear whole or not at all, and a lock between processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import BenchError


class FolderError(BenchError):
    """A folder cannot be written: no fault of the cell, which is not marked as failed."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on the file `path`, created if missing; wait while another process holds it.

    The kernel releases the lock with the process, however the process ends. filelock would make the
    same call and add nothing; flufl.lock would block others until the lifetime of a killed
    process's lock is over.

    Raises
    ------
    FolderError
        The file cannot be written, or its file system has no locks.
    """
    make_folder(path.parent)
    try:
        file = path.open("a")
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise FolderError(
                f"{path} cannot be locked: {error.strerror}; run bench in a folder whose file "
                "system has locks"
            ) from None
        yield


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*"))
        if path.is_file()
    }


def write_text(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises
    ------
    FolderError
        The folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise FolderError(f"{path} cannot be written: {error.strerror}") from None


def server_time(folder: Path) -> float:
    """Return the present time by the clock of the file server, in seconds since the epoch.

    Modification times of files are by that clock. The clocks of hosts that share a folder may
    differ from it, and from each other.

    Raises
    ------
    FolderError
        The folder cannot be written.
    """
    part = folder / f".time.{secrets.token_hex(4)}.part"
    try:
        part.touch()
        now = part.stat().st_mtime
        part.unlink()
    except OSError as error:
        raise FolderError(f"{folder} cannot be written: {error.strerror}") from None
    return now


def refuse_link(folder: Path) -> None:
    """Refuse a folder whose content is about to be replaced where it is a link to another.

    Raises
    ------
    BenchError
        It is a link.
    """
    if folder.is_symlink():
        raise BenchError(f"{folder} is a link, and its target is not overwritten; remove the link")


def make_folder(path: Path) -> None:
    """Make a folder unless it is there.

    Raises
    ------
    FolderError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror}") from None


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the mapping in a JSON file, or None where it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
