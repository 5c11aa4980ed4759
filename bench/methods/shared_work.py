"""Arrays that several trainings or rows compute alike: computed once, and kept as files.

A method that reads such an array would look cheaper than one that computes it. The time of the
first computation is therefore kept beside the array, and whoever measures the method adds it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Array = NDArray[Any]


class SharedWork:
    """Arrays kept in a folder, each under a digest of all that it was computed from.

    Parameters
    ----------
    folder
        Folder of the arrays, made when the first is kept.

    Attributes
    ----------
    spared_s
        Time in seconds that the arrays read so far took when they were computed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.spared_s = 0.0

    def array(
        self, signals: Array, settings: Mapping[str, Any], compute: Callable[[], Array]
    ) -> Array:
        """Return an array from its file, or compute it and keep it where it has none.

        Parameters
        ----------
        signals
            Array that the computation is given, of any shape.
        settings
            Numbers and words on which its result depends besides, the version of the code included.
        compute
            Computes the array.
        """
        path = self._folder / f"{_digest(signals, settings)}.safetensors"
        try:
            arrays = load(path.read_bytes())
            value, seconds = arrays["value"], float(arrays["seconds"])
        except (OSError, SafetensorError, KeyError):  # none, or damaged
            start = time.perf_counter()
            value = compute()
            self._keep(path, value, time.perf_counter() - start)
        else:
            self.spared_s += seconds
        return value

    def _keep(self, path: Path, value: Array, seconds: float) -> None:
        """Write an array and its time in seconds to a file that appears whole or not at all.

        Where it cannot be written, as on a full disk, it is computed again the next time.
        """
        part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.safetensors")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            arrays = {"value": np.ascontiguousarray(value), "seconds": np.array(seconds)}
            part.write_bytes(save(arrays))
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink()


_WORK: ContextVar[SharedWork | None] = ContextVar("shared work", default=None)


@contextmanager
def sharing(folder: Path) -> Iterator[SharedWork]:
    """Let `shared` keep arrays in a folder, and read them from there, inside the context.

    Parameters
    ----------
    folder
        Folder of the arrays.

    Yields
    ------
    SharedWork
        The folder's arrays; its `spared_s` tells what they spared inside the context.
    """
    work = SharedWork(folder)
    token = _WORK.set(work)
    try:
        yield work
    finally:
        _WORK.reset(token)


def shared(signals: Array, settings: Mapping[str, Any], compute: Callable[[], Array]) -> Array:
    """Return what `compute` gives, from a file where one is kept; see `SharedWork.array`.

    Outside `sharing` it is computed each time.
    """
    work = _WORK.get()
    return compute() if work is None else work.array(signals, settings, compute)


def _digest(signals: Array, settings: Mapping[str, Any]) -> str:
    """Return a digest of an array, its type and shape, and settings."""
    inputs = {**settings, "shape": signals.shape, "type": signals.dtype.str}
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(signals).tobytes())
    return digest.hexdigest()
