"""Is a report what its scores give? Made again from its own files, and compared."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from bench import provenance
from bench.errors import BenchError
from bench.methods import registry
from bench.report.committed import load_committed, load_provenance
from bench.report.tabulate import tabulate
from bench.report.write import report_files
from bench.scoring.protocols import protocol
from bench.store.cell_folder import CellFolder
from bench.store.manifest import load_results, manifest_path
from bench.store.results import SCORE_COLUMNS, TEXTS, Results

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
    facts, results = load_provenance(folder), load_committed(folder)
    return [
        *_changed_files(folder, results, facts),
        *_changed_examples(folder, facts),
        *_other_scores(results, runs),
    ]


def earlier_versions(folder: Path) -> list[str]:
    """Return what in a report today's code would compute otherwise, a line for each method.

    A method that cannot be imported here is left out, and so are the versions of its protocols.

    Raises
    ------
    BenchError
        The report lacks what it rests on.
    """
    rows: dict[str, dict[str, None]] = {}
    for cell in load_provenance(folder)["cells"]:
        for change in _changes_since(cell):
            rows.setdefault(change, {})[cell["row"]] = None
    return [f"{folder}: {change} ({', '.join(map(repr, of))})" for change, of in rows.items()]


def _changes_since(cell: Mapping[str, Any]) -> Iterator[str]:
    """Yield what has another version now than when a recorded cell was computed."""
    method, then = cell["method"], cell["version"]
    try:
        version = registry.find_method(method).VERSION
    except BenchError:
        return
    if then != version:
        yield f"computed by version {then} of {method}, which has version {version} now"
    for name, version in cell["protocols"].items():
        now = protocol(name).version
        if now != version:
            yield f"scored by version {version} of {name}, which has version {now} now"


def _changed_files(folder: Path, results: Results, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each file that is not what the report's scores give."""
    stale = []
    for name, content in report_files(tabulate(results), facts).items():
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif path.read_bytes() != content and not (
            name == "rows.csv" and _same_numbers(path.read_bytes(), content)
        ):
            stale.append(name)
    if not stale:
        return
    then, now = facts.get("report", {}).get("versions", {}), provenance.versions()
    others = [f"{k} {v} then, {now.get(k)} now" for k, v in then.items() if now.get(k) != v]
    why = f" (other versions: {'; '.join(others)})" if others else ""
    for name in stale:
        yield f"{folder / name} is not what its scores give{why}"


def _same_numbers(one: bytes, other: bytes) -> bool:
    """Tell whether two CSV files have the same text and the same numbers, to `TOLERANCE`."""
    try:
        a, b = (pd.read_csv(io.BytesIO(content)) for content in (one, other))
        pd.testing.assert_frame_equal(a, b, check_exact=False, rtol=TOLERANCE, atol=TOLERANCE)
    except (AssertionError, ValueError):
        return False
    return True


def _changed_examples(folder: Path, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each picture and audio file that is missing, changed or of no example."""
    known = facts.get("example_files", {})
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


def _other_scores(results: Results, runs: Path) -> Iterator[str]:
    """Yield a line for each cell whose scores in the report are not those of its folder in `runs`.

    An experiment that was not run here has nothing to compare.
    """
    name = results.experiment.name
    if not manifest_path(runs, name).is_file():
        return
    here = load_results(runs, name)
    by_cell = {(outcome.cell.row, outcome.cell.seed): outcome for outcome in here.outcomes}
    for outcome in results.outcomes:
        cell = outcome.cell
        own = by_cell.get((cell.row, cell.seed))
        if own is None or own.cell.fingerprint != cell.fingerprint:
            yield f"{cell.name} in the report is no cell of the experiment in {runs}"
            continue
        path = CellFolder(runs, cell).path
        for name in cell.protocols:
            one, other = outcome.scores.get(name), own.scores.get(name)
            if (one is None) != (other is None):
                yield f"{cell.name}: its state in the report is not that in {path}"
            elif one is not None and other is not None and not _same_scores(one, other):
                yield f"{cell.name}: its scores in the report are not those in {path}"


def _same_scores(one: pa.Table, other: pa.Table) -> bool:
    """Tell whether two tables of scores are the same to the last bit."""
    if len(one) != len(other):
        return False
    a, b = (table.select(SCORE_COLUMNS).to_pandas() for table in (one, other))
    texts = dict.fromkeys(TEXTS, "str")
    return bool(a.astype(texts).equals(b.astype(texts)))
