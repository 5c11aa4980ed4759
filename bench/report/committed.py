"""The results of a report, read back from ``scores.parquet`` and ``provenance.json`` in its folder.

A committed report can be written again from them and compared, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
import pyarrow.lib
import pyarrow.parquet as pq
from pydantic import Field, ValidationError, model_validator

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment, Target
from bench.store.facts import Corpus, Facts, ScoreFacts
from bench.store.files import read_json
from bench.store.results import GROUPS, SCHEMA_VERSION, TEXTS, Outcome, Results

#: Most scores of a report; 10,000 cells of the largest corpus here have 66 million.
MOST_SCORES = 100_000_000
#: Fields of a cell in ``provenance.json``; its other fields describe the outcome.
_CELL_FIELDS = tuple(Cell.__dataclass_fields__)


#: The path of a picture or of audio in the folder of a report: it leads nowhere else.
ExampleFile = Annotated[str, Field(pattern=r"^(pictures|audio)/[a-z]+-[0-9]+\.(webp|flac)$")]


class _ReportFacts(Facts):
    """When and by which code a report was written."""

    time: str
    commit: str
    versions: dict[str, str]


class _OutcomeFacts(Facts):
    """The outcome of a cell, beside the cell's own fields."""

    row: str
    fingerprint: str
    status: Literal["done", "failed", "missing"]
    error: str | None
    mlflow_runs: list[str] = Field(default_factory=list)
    scores: dict[str, ScoreFacts]


class _SignalFacts(Facts):
    """A signal of an example; see `bench.report.examples.Examples`."""

    label: str
    kind: str
    score: float | None
    picture: ExampleFile
    audio: ExampleFile | None


class _ExampleFacts(Facts):
    """An example; see `bench.report.examples.Examples`."""

    role: str
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    track: str
    target: Target
    metric: str
    start_s: float
    duration_s: float
    top_hz: float
    signals: list[_SignalFacts]


class _StimulusFacts(Facts):
    """A stimulus of a listening test."""

    label: str
    kind: str


class _ListeningFacts(Facts):
    """A listening test and its ratings; see `bench.store.ratings.read_ratings`."""

    target: Target
    tracks: list[str]
    stimuli: list[_StimulusFacts]
    ratings: list[list[list[float]]]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        shape = [len(self.stimuli)] * len(self.tracks)
        if not self.ratings or any([len(t) for t in one] != shape for one in self.ratings):
            raise ValueError("a listener has not rated every stimulus of every track")
        if "reference" not in {stimulus.kind for stimulus in self.stimuli}:
            raise ValueError("there is no hidden reference")
        return self


class _ExperimentFacts(Facts):
    """An experiment, as far as it is used unparsed; see `bench.plan.experiment.Experiment`."""

    title: str
    examples: bool


class _Provenance(Facts):
    """The content of ``provenance.json``."""

    report: _ReportFacts
    experiment: _ExperimentFacts
    file: str | None = None
    overrides: list[str]
    corpus: Corpus
    schema_version: int
    cells: list[_OutcomeFacts]
    examples: list[_ExampleFacts] = Field(default_factory=list)
    example_files: dict[ExampleFile, str] = Field(default_factory=dict)
    rows_without_clips: int = 0
    listening: _ListeningFacts | None = None


def load_provenance(folder: Path) -> dict[str, Any]:
    """Return the content of a report's ``provenance.json``.

    Raises
    ------
    BenchError
        It is missing or damaged.
    """
    path = folder / "provenance.json"
    value = read_json(path)
    if value is None:
        raise BenchError(f"{path} is missing or damaged, so that {folder} holds no report")
    try:
        _Provenance.model_validate(value)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise BenchError(
            f"{path} is damaged ({place}: {error.errors()[0]['msg']}); make the report again"
        ) from None
    return value


def earlier_provenance(folder: Path) -> dict[str, Any]:
    """Return the content of the ``provenance.json`` that is there; empty if none or damaged."""
    try:
        return load_provenance(folder)
    except BenchError:
        return {}


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
        experiment = Experiment.model_validate(value["experiment"])
        labels = {label for entry in experiment.methods for label, _ in entry.variants()}
        for row in {entry["row"] for entry in value["cells"]} - labels:
            raise ValueError(f"the experiment has no row {row!r}")
        return Results(
            experiment,
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
        _check_size(path, pq.read_metadata(path).num_rows)
        table = pq.read_table(path, read_dictionary=["row", *TEXTS, *GROUPS])
        version = int((table.schema.metadata or {}).get(b"schema_version", b"0"))
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise BenchError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if version != SCHEMA_VERSION:
        raise BenchError(f"{path} has columns of version {version}; this code is of version "
                         f"{SCHEMA_VERSION}: make the report again")  # fmt: skip
    return table


def _check_size(path: Path, n_scores: int) -> None:
    if n_scores > MOST_SCORES:
        raise BenchError(f"{path} has {n_scores} scores; at most {MOST_SCORES} are read")


def _outcomes(entries: list[Mapping[str, Any]], scores: pa.Table) -> Iterator[Outcome]:
    """Yield the outcome of each cell of ``provenance.json``."""
    keys = scores.select(["row", "seed", "protocol"]).to_pandas()
    places = keys.groupby(["row", "seed", "protocol"], observed=True, sort=False).indices
    for entry in entries:
        seed = -1 if entry["seed"] is None else entry["seed"]
        facts = {name: entry["scores"].get(name, {}) for name in entry["protocols"]}
        yield Outcome(
            Cell.from_json({name: entry[name] for name in _CELL_FIELDS}),
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
