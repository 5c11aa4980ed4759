"""Types of the facts that are recorded beside scores, by which a file that is read is checked.

A file in ``runs/`` or in a report may be damaged, or come from someone else. One whose fields have
other types than these is damaged. Fields that are not named here are kept, and nothing computes
with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


class Facts(BaseModel):
    """A mapping of which some fields are checked, without conversion."""

    model_config = ConfigDict(strict=True, extra="allow")

    @classmethod
    def checked(cls, value: dict[str, Any] | None) -> dict[str, Any]:
        """Return a mapping as it is where its fields are of these types; else an empty one."""
        try:
            cls.model_validate(value)
        except ValidationError:
            return {}
        return value or {}


def spent_s(markers: Sequence[Mapping[str, Any]]) -> float:
    """Return the seconds that a finished cell took, with its training.

    Parameters
    ----------
    markers
        The facts beside its scores under each protocol, at least one.
    """
    spent = [markers[0].get("fit", {}).get("fit_s"), markers[0].get("separate_s")]
    spent += [facts.get("score_s") for facts in markers]
    return float(sum(filter(None, spent)))


class MachineFacts(Facts):
    """What `bench.provenance.machine` returns."""

    processor: str
    system: str
    cores: int | None
    memory_gib: float
    accelerator: str | None


class Captured(Facts):
    """What `bench.provenance.capture` returns, and the number of threads of the process.

    Reports of earlier releases do not say the number.
    """

    time: str
    commit: str
    versions: dict[str, str]
    machine: MachineFacts
    device: str
    threads: int | None = None


#: What was captured with a cell's scores or its training; None or empty where nothing was.
MaybeCaptured = Annotated[
    Captured | None, BeforeValidator(lambda value: None if value == {} else value)
]


class FitFacts(Facts):
    """The facts of a training, as ``fit.json`` holds them."""

    fit_s: float | None = None
    peak_bytes: int | None = None
    parameters: int | None = None
    precision: str | None = None
    provenance: MaybeCaptured = None
    members: list[Captured] = []
    files: dict[str, str] = {}


class ScoreFacts(Facts):
    """The facts of a cell's scores under one protocol, as the marker beside them holds them."""

    sha256: str | None = None
    separate_s: float | None = None
    score_s: float | None = None
    audio_s: float | None = None
    n_tracks: int | None = None
    peak_bytes: int | None = None
    provenance: MaybeCaptured = None
    fit: FitFacts = FitFacts()
    taken_from: dict[str, str] = {}


class Corpus(Facts):
    """The facts of a dataset that a report states; see `bench.store.results.Results`."""

    title: str
    citation: str
    licence: str
    n_test: int
    n_full: int
    shares_audio: bool = False
    groups: dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]] = {}


class MlflowNote(Facts):
    """What ``mlflow.json`` of a cell holds of one MLflow store."""

    run_id: str | None = None


#: A hash in hexadecimal digits, which names a folder or a file.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]+$")]


class RecordedIdentity(Facts):
    """The identity of a cell as it was planned; see `bench.plan.cells.Cell.identity`."""

    fingerprint: Digest
    training_key: Digest
    separated_digest: Digest


class RecordedCell(Facts):
    """A cell, as far as it is used unparsed; see `bench.plan.cells.Cell`."""

    method: str = ""
    hyperparameters: dict[str, Any] = {}
    digests: dict[str, str] | None = None


class ExperimentRecord(Facts):
    """The cells of an experiment and where it came from.

    The list of its cells and ``provenance.json`` of its report hold them under the same names.

    Attributes
    ----------
    cells
        In the order of the experiment file.
    identities
        The identity of each cell; None in a report, and where an earlier release wrote the list.
    file
        The experiment file; None where an earlier release did not record it.
    overrides
        What the command line changed of the file, ``key=value``.
    """

    cells: list[RecordedCell]
    identities: list[RecordedIdentity] | None = None
    file: str | None = None
    overrides: list[str] = []


class State(Facts):
    """The stage of a cell, as ``state.json`` holds it, or why it failed and where."""

    stage: str
    time: float
    error: str = ""
    traceback: str = ""


class Progress(State):
    """The stage of a cell and its progress, of which `bench.store.status` makes a text."""

    done: int
    total: int
    unit: str
    text: str
    since: float
    begun_at: int = Field(alias="from")


class CurveLine(Facts):
    """A line of ``curves.jsonl``: the metrics of a training at a step."""

    step: int
    time: float
    values: dict[str, float]
