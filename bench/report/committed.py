"""A report read back from its own folder: ``scores.parquet`` and ``provenance.json`` hold all.

So a committed report can be made again and compared, far from the machine that ran it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.lib
import pyarrow.parquet as pq

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.store.cell_folder import CellFolder, read_json
from bench.store.results import SCHEMA_VERSION, Results

#: Fields of a cell in ``provenance.json``; the others there are about how it came out.
FIELDS = tuple(Cell.__dataclass_fields__)


class CommittedCell(CellFolder):
    """What a report tells of a cell, in the place of the cell's folder."""

    def __init__(self, told: Mapping[str, Any], scores: pd.DataFrame) -> None:
        super().__init__(Path(), Cell(**{name: told[name] for name in FIELDS}))
        self.told, self.of_row = told, scores

    def is_done(self) -> bool:
        """Tell whether the report has its scores under every protocol."""
        return all(self.told["scores"].get(name) for name in self.cell.protocols)

    def scores(self, protocol_name: str) -> pd.DataFrame | None:
        """Return the scores under a protocol, or None where the report says that there are none."""
        if not self.told["scores"].get(protocol_name):
            return None
        mine = self.of_row[self.of_row["protocol"] == protocol_name]
        return mine.drop(columns=["row", "method", "seed"])

    def score_facts(self, protocol_name: str) -> dict[str, Any]:
        """Return what was noted of the scores."""
        found: dict[str, Any] = self.told["scores"].get(protocol_name, {})
        return found

    def error(self) -> str | None:
        """Return why the cell failed, or None."""
        why = self.told.get("error")
        return None if why is None else str(why)


def facts(folder: Path) -> dict[str, Any]:
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


def recall(folder: Path) -> Results:
    """Return what a report rests on, from its own files.

    Raises
    ------
    BenchError
        A file is missing or damaged, or its columns are of another version.
    """
    value, path = facts(folder), folder / "scores.parquet"
    try:
        table = pq.read_table(path)
        version = int((table.schema.metadata or {}).get(b"schema_version", b"0"))
        frame = table.to_pandas()
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise BenchError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if version != SCHEMA_VERSION:
        raise BenchError(f"{path} has columns of version {version}; this code is of version "
                         f"{SCHEMA_VERSION}: make the report again")  # fmt: skip
    try:
        told = [
            CommittedCell(cell, of_cell(frame, cell["row"], cell["seed"]))
            for cell in value["cells"]
        ]
        experiment = Experiment.model_validate(value["experiment"])
        return Results(
            experiment, value["corpus"], [one.cell for one in told], told, value["overrides"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"{folder / 'provenance.json'} is damaged ({type(error).__name__}: {error}); make the "
            "report again"
        ) from None


def of_cell(frame: pd.DataFrame, row: str, seed: int | None) -> pd.DataFrame:
    """Return the scores of one cell."""
    mine = (frame["row"] == row) & (frame["seed"] == (-1 if seed is None else seed))
    return frame[mine].reset_index(drop=True)
