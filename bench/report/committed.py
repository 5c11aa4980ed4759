"""The results of a report, read back from ``scores.parquet`` and ``provenance.json`` in its folder.

A committed report can be written again from them and compared, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.lib
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.store.files import read_json
from bench.store.results import GROUPS, SCHEMA_VERSION, TEXTS, Outcome, Results

#: Fields of a cell in ``provenance.json``; its other fields describe the outcome.
#: Most scores of a report; 10,000 cells of the largest corpus here have 66 million.
MOST_SCORES = 100_000_000
_CELL_FIELDS = tuple(Cell.__dataclass_fields__)


def load_provenance(folder: Path) -> dict[str, Any]:
    """Return the content of a report's ``provenance.json``.

    Raises
    ------
    BenchError
        It is missing or damaged.
    """
    value = read_json(folder / "provenance.json")
    if value is None:
        raise BenchError(f"{folder / 'provenance.json'} is missing or damaged: no report to check")
    return value


def load_committed(folder: Path) -> Results:
    """Return the results that a report shows.

    Raises
    ------
    BenchError
        A file is missing or damaged, or its columns are of another version.
    """
    value = load_provenance(folder)
    scores = _read_scores(folder / "scores.parquet")
    try:
        return Results(
            Experiment.model_validate(value["experiment"]),
            value["corpus"],
            list(_outcomes(value["cells"], scores)),
            value["overrides"],
            value.get("file"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"{folder / 'provenance.json'} is damaged ({type(error).__name__}: {error}); make the "
            "report again"
        ) from None


def _read_scores(path: Path) -> pa.Table:
    """Return the tidy scores of a report."""
    try:
        n_rows = pq.read_metadata(path).num_rows
        if n_rows > MOST_SCORES:
            raise BenchError(f"{path} has {n_rows} scores; at most {MOST_SCORES} are read")
        table = pq.read_table(path, read_dictionary=["row", *TEXTS, *GROUPS])
        version = int((table.schema.metadata or {}).get(b"schema_version", b"0"))
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise BenchError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if version != SCHEMA_VERSION:
        raise BenchError(f"{path} has columns of version {version}; this code is of version "
                         f"{SCHEMA_VERSION}: make the report again")  # fmt: skip
    return table


def _outcomes(entries: list[Mapping[str, Any]], scores: pa.Table) -> Iterator[Outcome]:
    """Yield the outcome of each cell of ``provenance.json``."""
    keys = scores.select(["row", "seed", "protocol"]).to_pandas()
    places = keys.groupby(["row", "seed", "protocol"], observed=True, sort=False).indices
    for entry in entries:
        seed = -1 if entry["seed"] is None else entry["seed"]
        facts = {name: entry["scores"].get(name, {}) for name in entry["protocols"]}
        yield Outcome(
            Cell(**{name: entry[name] for name in _CELL_FIELDS}),
            entry["status"],
            entry["error"],
            {
                name: scores.take(places[entry["row"], seed, name])
                for name in facts
                if (entry["row"], seed, name) in places
            },
            facts,
            entry.get("mlflow_runs", ()),
        )
