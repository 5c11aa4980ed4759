"""Which code made this number: commit, versions, machine. No path and no host is named."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.version import __version__

PACKAGES = (
    "torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn", "pandas", "mlflow", "museval",
    "musdb", "soundfile",
)  # fmt: skip

#: Ending of a commit from which files of the code differed.
_DIRTY = "-dirty"
#: Stands for the commit of a suite that is installed without its repository.
_UNKNOWN = "unknown"


def now() -> str:
    """Return the time in UTC to the second, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def commit() -> str:
    """Return the commit of the suite's own checkout, with ``-dirty`` where files differ from it.

    ``unknown`` where the suite is installed without its repository.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return _UNKNOWN

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        code = ["bench", "baselines"]  # an experiment is part of its report
        dirty = git("status", "--porcelain", "--", *code)
        return git("rev-parse", "HEAD") + (_DIRTY if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return _UNKNOWN


def has_changes(stamp: str) -> bool:
    """Tell whether a commit, from `commit`, stands for code that differed from it."""
    return stamp.endswith(_DIRTY)


def is_exact(stamp: str) -> bool:
    """Tell whether a commit, from `commit`, stands for one state of the code."""
    return stamp != _UNKNOWN and not has_changes(stamp)


@functools.cache
def code_digest() -> str:
    """Return the SHA-256 of all files of the packages `bench` and `baselines`, as first asked."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for package in ("bench", "baselines"):
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def code() -> dict[str, Any]:
    """Return what stands for the code: its commit, or with it a digest where that does not."""
    stamp = commit()
    return {"commit": stamp, **({} if is_exact(stamp) else {"code": code_digest()})}


def short(stamp: str) -> str:
    """Return ten digits of a commit, from `commit`, and whether files differed from it.

    Examples
    --------
    >>> short("0123456789abcdef"), short("0123456789abcdef-dirty")
    ('0123456789', '0123456789-dirty')
    """
    return stamp[:10] + (_DIRTY if has_changes(stamp) else "")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the suite and of the packages that its numbers rest on."""
    version_of = {"bench": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            version_of[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return version_of


@functools.cache
def machine() -> dict[str, Any]:
    """Return processor, cores, memory and accelerator."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cuda = torch.cuda.is_available()
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "accelerator": torch.cuda.get_device_name() if cuda else None,
    }


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def capture(device: str) -> dict[str, Any]:
    """Return all of it, for what runs on `device` now."""
    return {
        "time": now(),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "device": device,
    }


def all_captured(scored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what was captured with a cell's scores, its training and its ensemble's members.

    Parameters
    ----------
    scored
        Recorded facts of a cell's scores under one protocol, those of its training as ``fit``.
    """
    fit = scored.get("fit") or {}
    captured = [scored.get("provenance"), fit.get("provenance"), *fit.get("members", [])]
    return [each for each in captured if each]
