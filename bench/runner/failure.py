"""Why a cell failed: the cell itself, or a disk that is full or read-only."""

from __future__ import annotations

import errno
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError, exception_text
from bench.runner.job import JobResult
from bench.store.cell_folder import CellFolder
from bench.store.files import FolderError

#: Numbers of the system's errors that are the fault of a disk.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def record_failure(folder: CellFolder, error: Exception) -> JobResult:
    """Write why a cell failed into its folder, unless a disk is to blame.

    A full or read-only disk does not mark a cell as failed: the next run computes it. Must be
    called where the error was caught, so that the traceback is that of the error.
    """
    reason = str(error) if isinstance(error, BenchError) else exception_text(error)
    if _is_of_disk(error) or not _is_writable(folder.path):
        return JobResult("stopped", reason)
    try:
        folder.fail(reason, traceback.format_exc())
    except FolderError as other:
        return JobResult("stopped", str(other))
    return JobResult("failed", reason)


def _is_of_disk(error: Exception) -> bool:
    """Return whether a full or read-only disk caused an error, directly or further back."""
    return any(
        isinstance(cause, FolderError)
        or (isinstance(cause, OSError) and cause.errno in DISK_ERRORS)
        for cause in causes(error)
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and the errors during whose handling it was raised."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_writable(folder: Path) -> bool:
    """Return whether a file can be written in a folder.

    Libraries that write by code of their own, such as those of Parquet, audio and weights, do not
    always keep the number of the system's error; this asks the disk itself.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
    except OSError:
        return False
    return True
