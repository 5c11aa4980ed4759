"""An experiment as its file states it: typed, with the names of the field checked.

It names the dataset, the seeds, the methods with fixed values and a ``sweep`` of values, the
scoring protocols and the layout of the table. Every part refuses an unknown key; targets, metrics
and protocols are known names, and no list names one twice. What needs the methods or the corpus at
hand is checked by `bench.plan.checks` when a file is read.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError, PydanticKnownError

from bench import stft
from bench.errors import BenchError, check_known, check_text
from bench.methods import registry
from bench.methods.separator import Separator
from bench.scoring import aggregate
from bench.scoring.protocols import PROTOCOLS
from bench.track import TARGETS

T = TypeVar("T")

#: Types of the errors that the validators below raise; the reader of a file tells them apart.
UNKNOWN_NAME, LISTED_TWICE = "unknown_name", "listed_twice"


def _one_of(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """Return a validator that refuses a name that is not one of `names`, with the nearest one."""
    known = list(names)

    def check(name: str) -> str:
        try:
            check_known(kind, name, known)
        except BenchError as error:
            raise PydanticCustomError(UNKNOWN_NAME, "{text}", {"text": str(error)}) from None
        return name

    return check


def _unique(values: list[T]) -> list[T]:
    """Refuse a list that holds a value twice."""
    twice = [value for value, n in Counter(values).items() if n > 1]
    if twice:
        raise PydanticCustomError(LISTED_TWICE, "{value} twice", {"value": repr(twice[0])})
    return values


def _number(value: Any) -> Any:
    """Refuse true and false, which pydantic takes for 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


#: Every metric over tracks that some protocol has.
METRICS = sorted({metric for name in PROTOCOLS for metric in aggregate.metrics(name)})


def _line(text: str) -> str:
    """Refuse control characters, but for the end of line that a block of YAML ends in."""
    line = text.rstrip("\n")
    check_text("the text", line)
    return line


def _label(text: str) -> str:
    """Refuse a label that shows nothing."""
    if not text.strip():
        raise ValueError("the label is empty; name the row")
    return text


def _text(text: str) -> str:
    """Refuse control characters."""
    check_text("the text", text, has_lines=True)
    return text


Line = Annotated[str, AfterValidator(_line)]
Label = Annotated[Line, AfterValidator(_label)]
Text = Annotated[str, AfterValidator(_text)]
Integer = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Target = Annotated[str, AfterValidator(_one_of("target", TARGETS))]
Metric = Annotated[str, AfterValidator(_one_of("metric", METRICS))]
ProtocolName = Annotated[str, AfterValidator(_one_of("scoring protocol", PROTOCOLS))]
#: Pattern of an experiment's name, which names files and folders.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
#: What `MethodEntry.chosen` may be beside the name of an experiment.
CHOICES = ("published", "not tuned")
Choice = Annotated[str, Field(pattern=rf"^({'|'.join(CHOICES)}|{_NAME}|)$")]
Seed = Annotated[Integer, Field(ge=0, lt=2**31)]
#: Length of a window or a hop in seconds; an hour is more than any transform takes.
Seconds = Annotated[Number, Field(gt=0, le=3600)]
PublishedFigures = dict[Target, dict[Metric, Number | Literal["not recovered"]]]

#: Most combinations of swept values of one method; the largest experiment here has 12.
MOST_VARIANTS = 10_000


class Strict(BaseModel):
    """A part of an experiment file: no key but those it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MethodEntry(Strict):
    """A method, with values that are fixed and values that are swept.

    Parameters
    ----------
    method
        A name from ``bench list``, or ``package.module:Class``.
    label
        Its row in the table. ``{name}`` is replaced by the value of a hyperparameter of `fixed` or
        `sweep`; swept ones that it does not name are added at its end.
    fixed, sweep
        Hyperparameters by name: one value each, or a list of values each, all combinations of
        which are run.
    seeds
        The method is run once with each, in place of the experiment's `seeds`.
    published
        Published values by target and metric over tracks, shown beside ours; ``not recovered``
        for one that is known to exist and could not be read.
    published_note
        One line on what sets the published values apart from ours, such as other clips, a
        permutation of the estimates, or a choice by test clips; they are marked with it.
    chosen
        How the constants that the method leaves open were chosen: ``published``, ``not tuned``, or
        the name of the experiment that selected them on held-out tracks. Empty: not stated.
    note
        One line on how the row differs from its paper.
    """

    method: str
    label: Label
    fixed: dict[str, Any] = {}
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    seeds: Annotated[list[Seed], AfterValidator(_unique)] | None = Field(None, min_length=1)
    published: PublishedFigures = {}
    published_note: Text = ""
    chosen: Choice = ""
    note: Text = ""

    @pydantic.model_validator(mode="after")
    def _not_too_many(self) -> Self:
        n_variants = math.prod(len(values) for values in self.sweep.values())
        if n_variants > MOST_VARIANTS:
            raise ValueError(f"sweep has {n_variants} combinations; at most {MOST_VARIANTS}")
        return self

    def variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield a label and hyperparameters for each combination of swept values."""
        for values in itertools.product(*self.sweep.values()):
            swept = dict(zip(self.sweep, values, strict=True))
            values_of_row = {**self.fixed, **swept}
            label = _filled(self.label, values_of_row)
            rest = [f"{k} = {v}" for k, v in swept.items() if f"{{{k}}}" not in self.label]
            yield (f"{label} ({', '.join(rest)})" if rest else label), values_of_row


class Transform(Strict):
    """Window and hop of every method that has them and does not fix its own.

    Parameters
    ----------
    n_fft, hop
        In samples.
    window_s, hop_s
        In seconds instead, at the corpus's own rate.
    """

    n_fft: Integer | None = None
    hop: Integer | None = None
    window_s: Seconds | None = None
    hop_s: Seconds | None = None

    @pydantic.model_validator(mode="after")
    def _one_unit(self) -> Self:
        given = {name for name, value in self if value is not None}
        if given not in ({"n_fft", "hop"}, {"window_s", "hop_s"}):
            raise ValueError("give n_fft and hop in samples, or window_s and hop_s in seconds")
        if self.n_fft is not None and self.hop is not None:
            stft.check_settings(self.n_fft, self.hop)
        return self

    def samples(self, rate: int) -> dict[str, int]:
        """Return ``n_fft`` and ``hop`` in samples at a rate in hertz."""
        if self.window_s and self.hop_s:
            n_fft, hop = stft.from_seconds(self.window_s, self.hop_s, rate)
            return {"n_fft": n_fft, "hop": hop}
        return {"n_fft": self.n_fft or 0, "hop": self.hop or 0}


class Pivot(Strict):
    """An ablation as a grid: a small table for each metric.

    Parameters
    ----------
    rows, columns
        A hyperparameter each, or ``label``: the method's label without its swept values.
    """

    rows: str
    columns: str


class Table(Strict):
    """The layout of the table.

    Parameters
    ----------
    targets
        A part of the table for each.
    metrics
        A column for each, in each protocol that has it; without them, all but GSDR.
    rows
        Their order within a group: as ``listed`` in the file, or ``ranked`` by the first metric.
    pivot
        Shows an ablation as a grid too.
    """

    targets: Annotated[list[Target], AfterValidator(_unique)] = Field(list(TARGETS), min_length=1)
    metrics: Annotated[list[Metric], AfterValidator(_unique)] = []
    rows: Literal["listed", "ranked"] = "listed"
    pivot: Pivot | None = None


class Figure(Strict):
    """A figure of the metrics of the table, with intervals over seeds, and what it shows in words.

    Parameters
    ----------
    over
        A swept hyperparameter: a curve against it for each method. Without it, a point for each
        row.
    symbol
        How to write that hyperparameter, such as γ.
    """

    over: str = ""
    symbol: Line = ""


class Experiment(Strict):
    """An experiment.

    Parameters
    ----------
    name
        Name of its folder in ``reports/`` and of its MLflow experiment; the file's name unless
        given.
    title, why
        What it is, and why it exists.
    dataset
        A name from ``bench list``.
    seeds
        Each method that draws at random runs once with each, but for one with seeds of its own.
    protocols
        Scoring protocols by name.
    methods
        The rows of the table: methods with their values.
    table
        The layout of the table.
    published_source
        Where the published values were read.
    stft
        Window and hop for all methods; each has its own without it.
    figure
        Drawn beside the table where it is given.
    examples
        Whether the report shows three tracks, chosen by how far their sources overlap; see
        `bench.store.listening`.
    keep_estimates
        Whether the estimates of the cells that it runs stay in their folders, 8 bytes a sample of
        a target: a protocol that is added later scores them without separating again.
    """

    name: str = Field(pattern=rf"^{_NAME}$")
    title: Line
    why: Text
    dataset: str
    seeds: Annotated[list[Seed], AfterValidator(_unique)] = Field([0], min_length=1)
    protocols: Annotated[list[ProtocolName], AfterValidator(_unique)] = Field(
        ["bss_eval_v3"], min_length=1
    )
    methods: list[MethodEntry] = Field(min_length=1)
    table: Table = Table()
    published_source: Text = ""
    stft: Transform | None = None
    figure: Figure | None = None
    examples: bool = True
    keep_estimates: bool = False

    def transform(self, method: type[Separator], rate: int | None) -> dict[str, int]:
        """Return the window and hop of `stft` for a method that has them.

        `rate` is in hertz; without it, settings in seconds are taken at 44,100.
        """
        settings = self.stft.samples(rate or 44_100) if self.stft else {}
        return {name: n for name, n in settings.items() if name in registry.fields(method)}

    def metrics(self, protocol_name: str) -> list[str]:
        """Return the columns of the table of a protocol."""
        known = aggregate.metrics(protocol_name)
        chosen = self.table.metrics or [metric for metric in known if metric != "gsdr"]
        return [metric for metric in chosen if metric in known]

    def pivot_place(
        self, entry: MethodEntry, hyperparameters: Mapping[str, Any]
    ) -> tuple[str, str] | None:
        """Return row and column of a method's variant in the grid; None where it has no place.

        `hyperparameters` are all of them, defaults too.
        """
        if self.table.pivot is None:
            return None
        pivot, label = self.table.pivot, entry.label
        for name in (pivot.rows, pivot.columns):
            label = without_value(label, name)
        values = {**hyperparameters, "label": _filled(label, entry.fixed)}
        if pivot.rows not in values or pivot.columns not in values:
            return None
        return value_text(values[pivot.rows]), value_text(values[pivot.columns])

    def symbol(self, name: str) -> str:
        """Return how a hyperparameter or the word ``label`` is written as a heading."""
        if name == "label":
            return "method"
        figure = self.figure
        return figure.symbol if figure and figure.symbol and figure.over == name else name


def value_text(value: Any) -> str:
    """Return a hyperparameter's value as a heading shows it.

    Examples
    --------
    >>> value_text(0.0), value_text(0.05), value_text("none")
    ('0', '0.05', 'none')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)


def _filled(label: str, values: Mapping[str, Any]) -> str:
    """Return a label with ``{name}`` replaced by the value of that name."""

    def value_of(place: re.Match[str]) -> str:
        name = place[1]
        return str(values[name]) if name in values else place[0]

    return re.sub(r"\{(\w+)\}", value_of, label)


def without_value(label: str, name: str) -> str:
    """Return a method's label without the place for a swept hyperparameter.

    Examples
    --------
    >>> without_value("DRNN-2, γ = {gamma}", "gamma"), without_value("RPCA, {mask} mask", "k")
    ('DRNN-2', 'RPCA, {mask} mask')
    """
    return re.sub(rf"[\s,(]*(\S+ = )?\{{{re.escape(name)}\}}\)?", "", label)
