"""The outcome of every cell of an experiment: a snapshot, read from the cells' folders once.

Reports and tables are computed from a snapshot alone and never read the folders again, so that all
of them show the same numbers while other processes compute further cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.store.cell_folder import CellFolder
from bench.store.facts import MlflowNote
from bench.store.files import read_json

#: Version of the columns of `Results.scores`; raise it with every change of them.
SCHEMA_VERSION = 2
#: Columns of a cell's scores, and those of them that hold text.
SCORE_COLUMNS = ("track", "target", "protocol", "metric", "window", "value", "n_samples")
TEXTS = ("track", "target", "protocol", "metric")
#: Columns that `Results.scores` adds to them for each track.
GROUPS = ("song", "singer")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one cell.

    Attributes
    ----------
    cell
        The cell.
    status
        ``done``: it has undamaged scores under every protocol; ``failed``; ``missing``: neither,
        so that the same ``bench run`` computes it.
    error
        The reason of a failure, in one line; None for any other status.
    scores
        The finished scores by protocol, tables with columns `SCORE_COLUMNS`. A cell that is not
        done may have those of some protocols.
    facts
        Times, memory and provenance that are kept with the scores, by protocol.
    mlflow_runs
        Ids of the MLflow runs that recorded the cell for the experiment.
    """

    cell: Cell
    status: Literal["done", "failed", "missing"]
    error: str | None = None
    scores: Mapping[str, pa.Table] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mlflow_runs: Sequence[str] = ()

    def with_mlflow_runs_of(self, folder: CellFolder, experiment: str) -> Outcome:
        """Return the outcome with the ids of those MLflow runs that its folder names now."""
        return replace(self, mlflow_runs=mlflow_runs(folder, experiment))


@dataclass(frozen=True)
class Results:
    """An experiment and the outcome of each of its cells.

    Attributes
    ----------
    experiment
        As it was run; external scores are among its methods.
    corpus
        Title, citation and licence of the dataset, ``n_test`` of ``n_full`` test tracks, whether
        it ``shares_audio``, and the song and singer of each test track as ``groups``.
    outcomes
        One a cell, in the order of the experiment file, external scores last.
    overrides
        What the command line changed of the experiment file, ``key=value``.
    file
        The experiment file as seen from the working directory; see `bench.store.owner`. None where
        an earlier release did not record it.
    """

    experiment: Experiment
    corpus: Mapping[str, Any]
    outcomes: Sequence[Outcome]
    overrides: Sequence[str] = ()
    file: str | None = None

    @property
    def shares_audio(self) -> bool:
        """Whether the corpus allows its audio to be passed on."""
        return bool(self.corpus.get("shares_audio", False))

    @property
    def n_failed(self) -> int:
        """Number of cells that failed."""
        return sum(outcome.status == "failed" for outcome in self.outcomes)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The tidy scores of all cells.

        Columns row, method, seed (-1 for none), track, target, protocol, metric, window, value,
        n_samples, song, singer. Those of text are categorical.
        """
        tables = [(outcome.cell, t) for outcome in self.outcomes for t in outcome.scores.values()]
        joined = pa.concat_tables(
            [table.select(SCORE_COLUMNS) for _, table in tables] or [_empty()]
        )
        scores: pd.DataFrame = joined.unify_dictionaries().to_pandas()
        lengths = [len(table) for _, table in tables]
        seeds = [-1 if cell.seed is None else cell.seed for cell, _ in tables]
        scores.insert(0, "row", _repeated([cell.row for cell, _ in tables], lengths))
        scores.insert(1, "method", _repeated([cell.method for cell, _ in tables], lengths))
        scores.insert(2, "seed", np.repeat(np.array(seeds, dtype=np.int64), lengths))
        for i, column in enumerate(GROUPS):
            names = [self.groups(track)[i] for track in scores["track"].cat.categories]
            scores[column] = _repeated_by(names, scores["track"].cat.codes.to_numpy())
        return scores

    def groups(self, track: str) -> tuple[str, str]:
        """Return the song and the singer of a track; a track of no known song is one itself."""
        song, singer = self.corpus.get("groups", {}).get(track, (track, ""))
        return song, singer


def read_outcome(folder: CellFolder, experiment: str) -> Outcome:
    """Return the outcome of a cell, each file of scores compared with its SHA-256.

    Parameters
    ----------
    folder
        The cell's folder.
    experiment
        Name of the experiment whose MLflow runs are listed.
    """
    scores: dict[str, pa.Table] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    for protocol in folder.cell.protocols:
        facts[protocol] = folder.score_facts(protocol)
        content = folder.scores_bytes(protocol, facts[protocol])
        if content is not None:
            scores[protocol] = parse_scores(content)
    runs = mlflow_runs(folder, experiment)
    if len(scores) == len(folder.cell.protocols):
        return Outcome(folder.cell, "done", None, scores, facts, runs)
    state = folder.state()
    if state.get("stage") == "failed":
        return Outcome(folder.cell, "failed", state.get("error", ""), scores, facts, runs)
    return Outcome(folder.cell, "missing", None, scores, facts, runs)


def parse_scores(content: bytes) -> pa.Table:
    """Return the table in a Parquet file of scores, its texts dictionary-encoded."""
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(TEXTS))
    return file.read(use_threads=False)


def mlflow_runs(folder: CellFolder, experiment: str) -> Sequence[str]:
    """Return the ids of the MLflow runs that recorded a cell for an experiment."""
    notes = read_json(folder.path / "mlflow.json") or {}
    of_experiment = [
        MlflowNote.checked(note)
        for address, note in notes.items()
        if address.startswith(f"{experiment} @ ")
    ]
    return sorted({note["run_id"] for note in of_experiment if note.get("run_id")})


def _repeated(values: Sequence[str], lengths: Sequence[int]) -> pd.Series[Any]:
    """Return each value as often as its length says, as categories in their order."""
    codes, labels = pd.factorize(np.array(values, dtype=object))
    categories = pd.Index(labels, dtype="str")
    return pd.Series(pd.Categorical.from_codes(np.repeat(codes, lengths), categories))


def _repeated_by(values: Sequence[str], codes: NDArray[np.integer]) -> pd.Series[Any]:
    """Return the value of each code, as categories in the order of the values."""
    code_of, labels = pd.factorize(np.array(values, dtype=object))
    return pd.Series(pd.Categorical.from_codes(code_of[codes], pd.Index(labels, dtype="str")))


def _empty() -> pa.Table:
    """Return a table of scores without a row."""
    text = pa.dictionary(pa.int32(), pa.string())
    types = {**dict.fromkeys(TEXTS, text), "window": pa.int64(), "value": pa.float64()}
    return pa.schema([(name, types.get(name, pa.int64())) for name in SCORE_COLUMNS]).empty_table()
