"""Is a report what its scores give? Made again from its own files, and compared."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import provenance
from bench.errors import BenchError
from bench.report import committed
from bench.report.write import files
from bench.store import results
from bench.store.results import Results

#: Unrounded numbers of two machines may differ in their last digits, no rounded one does.
TOLERANCE = 1e-9


def problems(folder: Path, runs: Path) -> list[str]:
    """Return what in a report is not what the scores give, a line each; nothing where all is.

    Parameters
    ----------
    folder
        The report.
    runs
        The folder of the cells; where it holds the experiment, its scores are compared too.

    Raises
    ------
    BenchError
        The report lacks what it rests on.
    """
    told, found = committed.facts(folder), committed.recall(folder)
    return [
        *remade(folder, found, told),
        *examples(folder, told),
        *tracked(found, runs),
    ]


def remade(folder: Path, found: Results, told: Mapping[str, Any]) -> Iterator[str]:
    """Yield each file that is not what the report's scores give."""
    stale = []
    for name, content in files(found, told).items():
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif path.read_bytes() != content and not (
            name == "rows.csv" and same_numbers(path.read_bytes(), content)
        ):
            stale.append(name)
    if not stale:
        return
    with_versions = told.get("report", {}).get("versions", {})
    now = provenance.versions()
    other = [f"{k} {v} then, {now.get(k)} now" for k, v in with_versions.items() if now.get(k) != v]
    why = f" (other versions: {'; '.join(other)})" if other else ""
    for name in stale:
        yield f"{folder / name} is not what its scores give{why}"


def same_numbers(one: bytes, other: bytes) -> bool:
    """Tell whether two tables have the same text and the same numbers, to `TOLERANCE`."""
    try:
        a, b = (pd.read_csv(io.BytesIO(content)) for content in (one, other))
        pd.testing.assert_frame_equal(a, b, check_exact=False, rtol=TOLERANCE, atol=TOLERANCE)
    except (AssertionError, ValueError):
        return False
    return True


def examples(folder: Path, told: Mapping[str, Any]) -> Iterator[str]:
    """Yield each picture and each piece of audio that is missing or was changed."""
    known = told.get("example_files", {})
    for name, sha in known.items():
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha:
            yield f"{path} was changed"
    for part in ("pictures", "audio"):
        for path in sorted((folder / part).glob("*")):
            if f"{part}/{path.name}" not in known:
                yield f"{path} belongs to no example"


def tracked(found: Results, runs: Path) -> Iterator[str]:
    """Yield each cell whose scores in the report are not those of its folder, where there is one.

    An experiment that was not run here has nothing to compare.
    """
    try:
        here = results.recall(runs, found.experiment.name)
    except BenchError:
        return
    mine = {(cell.row, cell.seed): f for cell, f in zip(here.cells, here.folders, strict=True)}
    for cell, folder in zip(found.cells, found.folders, strict=True):
        own = mine.get((cell.row, cell.seed))
        if own is None or own.cell.fingerprint != cell.fingerprint:
            yield f"{cell.name} in the report is no cell of the experiment in {runs}"
            continue
        for name in cell.protocols:
            one, other = folder.scores(name), own.scores(name)
            if (one is None) != (other is None):
                yield f"{cell.name}: its state in the report is not that in {own.path}"
            elif one is not None and other is not None and not same_scores(one, other):
                yield f"{cell.name}: its scores in the report are not those in {own.path}"


def same_scores(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Tell whether two tables of scores are the same to the last bit."""
    if len(one) != len(other) or set(one.columns) != set(other.columns):
        return False
    columns = list(one.columns)
    a, b = (frame["value"].to_numpy(np.float64) for frame in (one, other))
    rest = [name for name in columns if name != "value"]
    same_rest = (one[rest].to_numpy() == other[rest].to_numpy()).all()
    return bool(same_rest and np.array_equal(a, b, equal_nan=True))
