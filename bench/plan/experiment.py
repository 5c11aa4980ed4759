"""An experiment file: YAML to a typed, validated experiment.

It names the dataset, the seeds, the methods with fixed values and a ``sweep`` of values, the
scoring protocols and the layout of the table. It is validated whole before anything runs; an
unknown key is refused with its line and the nearest known name.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field

from bench import datasets, stft
from bench.errors import BenchError, nearest
from bench.methods import registry
from bench.methods.separator import Separator
from bench.scoring import aggregate
from bench.scoring.protocols import PROTOCOLS, protocol
from bench.track import TARGETS

Line = dict[tuple[str | int, ...], int]

#: Every metric over tracks that some protocol has.
METRICS = sorted({metric for name in PROTOCOLS for metric in aggregate.metrics(name)})


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
        Its row in the table. ``{name}`` is replaced by the value of a swept hyperparameter;
        swept ones that it does not name are added at its end.
    fixed, sweep
        Hyperparameters by name: one value each, or a list of values each, all combinations of
        which are run.
    published
        Published figures by target and metric over tracks, shown beside ours; ``not recovered``
        for one that is known to exist and could not be read.
    note
        One line on how the row differs from its paper.
    """

    method: str
    label: str
    fixed: dict[str, Any] = {}
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    published: dict[str, dict[str, float | Literal["not recovered"]]] = {}
    note: str = ""

    def variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield a label and hyperparameters for each combination of swept values."""
        for values in itertools.product(*self.sweep.values()):
            swept = dict(zip(self.sweep, values, strict=True))
            label = self.label
            for name in list(swept):
                if f"{{{name}}}" in label:
                    label = label.replace(f"{{{name}}}", str(swept[name]))
            rest = [f"{k} = {v}" for k, v in swept.items() if f"{{{k}}}" not in self.label]
            yield (f"{label} ({', '.join(rest)})" if rest else label), {**self.fixed, **swept}


class Transform(Strict):
    """Window and hop of every method that has them and does not fix its own.

    Parameters
    ----------
    n_fft, hop
        In samples.
    window_s, hop_s
        In seconds instead, at the corpus's own rate.
    """

    n_fft: int | None = None
    hop: int | None = None
    window_s: float | None = Field(None, gt=0)
    hop_s: float | None = Field(None, gt=0)

    @pydantic.model_validator(mode="after")
    def _one_unit(self) -> Self:
        samples, seconds = (self.n_fft, self.hop), (self.window_s, self.hop_s)
        if (None in samples) == (None in seconds) or (any(samples) and any(seconds)):
            raise ValueError("give n_fft and hop in samples, or window_s and hop_s in seconds")
        if self.n_fft and self.hop:
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

    targets: list[str] = Field(list(TARGETS), min_length=1)
    metrics: list[str] = []
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
    symbol: str = ""


class Experiment(Strict):
    """An experiment.

    Parameters
    ----------
    name
        Of its folder in ``reports/`` and in MLflow; the file's name unless given.
    title, why
        What it is, and why it exists.
    dataset
        A name from ``bench list``.
    seeds
        Each method that draws at random runs once with each.
    protocols
        Scoring protocols by name.
    published_source
        Where the published figures were read.
    stft
        Window and hop for all methods; each has its own without it.
    figure
        Drawn beside the table where it is given.
    examples
        Whether the report shows three tracks: the best, the median and the worst.
    keep_estimates
        Whether the estimates of the cells that it runs stay in their folders, 8 bytes a sample of
        a target: a protocol that is added later scores them without separating again.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str
    why: str
    dataset: str
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field([0], min_length=1)
    protocols: list[str] = Field(["bss_eval_v3"], min_length=1)
    methods: list[MethodEntry] = Field(min_length=1)
    table: Table = Table()
    published_source: str = ""
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
        values = {**hyperparameters, "label": label}
        if pivot.rows not in values or pivot.columns not in values:
            return None
        return str(values[pivot.rows]), str(values[pivot.columns])


def without_value(label: str, name: str) -> str:
    """Return a method's label without the place for a swept hyperparameter.

    Examples
    --------
    >>> without_value("DRNN-2, γ = {gamma}", "gamma"), without_value("RPCA, {mask} mask", "k")
    ('DRNN-2', 'RPCA, {mask} mask')
    """
    return re.sub(rf"[\s,(]*(\S+ = )?\{{{re.escape(name)}\}}\)?", "", label)


PARTS: dict[str, type[Strict]] = {
    "methods": MethodEntry,
    "table": Table,
    "figure": Figure,
    "pivot": Pivot,
    "stft": Transform,
}


def read(path: Path, overrides: Iterable[str] = ()) -> Experiment:
    """Read and validate an experiment file.

    Parameters
    ----------
    path
        A YAML file.
    overrides
        ``key=value`` in dot-list form, such as ``seeds=[0,1]`` or
        ``methods[3].fixed.gamma=0.1``.

    Raises
    ------
    BenchError
        The file is missing or no YAML, a key is unknown, a value is refused, or a method,
        hyperparameter, dataset, protocol, target or metric has no such name.
    """
    if not path.is_file():
        raise BenchError(f"no experiment file {path}; `bench list` shows those that are here")
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
        lines = dict(numbered(yaml.compose(text, Loader=yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BenchError(f"{where}: not readable as YAML: {problem}") from None
    if not isinstance(data, dict):
        raise BenchError(f"{path}: an experiment file is a mapping of keys to values")
    data = overridden({"name": path.stem, **data}, overrides)
    return validated(data, path, lines)


def overridden(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return `data` with values of a dot-list set in it."""
    overrides = list(overrides)
    if not overrides:
        return data
    try:
        config = OmegaConf.create(data)
    except OmegaConfBaseException as error:
        raise BenchError(f"-o cannot be applied: {str(error).splitlines()[0]}") from None
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise BenchError(f"-o {override}: write key=value, such as -o seeds=[0,1]")
        try:
            OmegaConf.update(config, key, yaml.safe_load(value), force_add=True)
        except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, IndexError) as error:
            raise BenchError(f"-o {override}: {str(error).splitlines()[0]}") from None
    changed: Any = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in changed.items()}


def validated(data: Mapping[str, Any], path: Path, lines: Line) -> Experiment:
    """Return the experiment in `data`, every name in it checked."""

    def where(*keys: str | int) -> str:
        while keys and keys not in lines:
            keys = keys[:-1]
        return f"{path}:{lines[keys]}" if keys else str(path)

    try:
        experiment = Experiment.model_validate(data)
    except pydantic.ValidationError as error:
        # A misspelt key is the cause where another is missing.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        place = tuple(key for key in first["loc"] if isinstance(key, str | int))
        raise BenchError(f"{where(*place)}: {explained(first, place)}") from None

    def check(action: Any, *keys: str | int) -> Any:
        try:
            return action()
        except BenchError as error:
            raise BenchError(f"{where(*keys)}: {error}") from None

    check(lambda: datasets.find(experiment.dataset), "dataset")
    for keys, listed in (
        (("seeds",), experiment.seeds),
        (("protocols",), experiment.protocols),
        (("table", "targets"), experiment.table.targets),
        (("table", "metrics"), experiment.table.metrics),
    ):
        twice = [value for value, n in Counter(listed).items() if n > 1]
        if twice:
            raise BenchError(f"{where(*keys)}: {twice[0]!r} stands twice in {'.'.join(keys)}")
    for i, name in enumerate(experiment.protocols):
        check(lambda name=name: protocol(name), "protocols", i)
    for i, target in enumerate(experiment.table.targets):
        check(lambda target=target: known("target", target, TARGETS), "table", "targets", i)
    for i, metric in enumerate(experiment.table.metrics):
        check(
            lambda metric=metric: known("metric", metric, METRICS),
            *("table", "metrics", i),
        )
    for name in experiment.protocols:
        if not experiment.metrics(name):
            has = ", ".join(aggregate.metrics(name))
            raise BenchError(f"{where('table', 'metrics')}: {name} has none of these; it has {has}")
    if experiment.figure and experiment.figure.over:
        swept = sorted({name for entry in experiment.methods for name in entry.sweep})
        check(
            lambda over=experiment.figure.over: known("swept hyperparameter", over, swept),
            *("figure", "over"),
        )
    labels: dict[str, dict[str, Any]] = {}
    twins: dict[str, str] = {}
    for i, entry in enumerate(experiment.methods):
        cls = check(lambda entry=entry: registry.find(entry.method), "methods", i, "method")
        both = entry.fixed.keys() & entry.sweep.keys()
        if both:
            name = sorted(both)[0]
            raise BenchError(f"{where('methods', i, 'sweep', name)}: {name!r} is fixed and swept")
        for part in ("fixed", "sweep"):
            for key in getattr(entry, part):
                if key not in registry.fields(cls):
                    problem = f"{entry.method} has no hyperparameter {key!r}; " + nearest(
                        key, registry.fields(cls)
                    )
                    raise BenchError(f"{where('methods', i, part, key)}: {problem}")
        if "seed" in {**entry.fixed, **entry.sweep}:
            raise BenchError(f"{where('methods', i)}: seeds are set by the key 'seeds' for all")
        for target, figures in entry.published.items():
            check(lambda t=target: known("target", t, TARGETS), "methods", i, "published")
            for metric in figures:
                check(
                    lambda metric=metric: known("metric", metric, METRICS),
                    *("methods", i, "published", target),
                )
        common = experiment.transform(cls, None)
        for label, values in entry.variants():
            made = registry.make(cls, {**common, **values}, where("methods", i, "fixed"))
            if label in labels:
                raise BenchError(f"{where('methods', i, 'label')}: two rows are named {label!r}")
            labels[label] = made.hyperparameters()
            canonical = json.dumps([entry.method, labels[label]], sort_keys=True)
            twin = twins.setdefault(canonical, label)
            if twin != label:
                raise BenchError(
                    f"{where('methods', i)}: rows {twin!r} and {label!r} are the same method "
                    "with the same values; keep one"
                )
    if experiment.table.pivot:
        check_pivot(experiment, labels, lambda *keys: where("table", "pivot", *keys))
    return experiment


def check_pivot(
    experiment: Experiment,
    labels: Mapping[str, dict[str, Any]],
    where: Callable[..., str],
) -> None:
    """Refuse a grid whose axes name no hyperparameter, or on which two rows fall together.

    `labels` has all hyperparameters of each row.
    """
    pivot = experiment.table.pivot
    names = {"label"}.union(*labels.values())
    for axis in ("rows", "columns"):
        try:
            known("hyperparameter", getattr(pivot, axis), names)
        except BenchError as error:
            raise BenchError(f"{where(axis)}: {error}") from None
    seen: dict[tuple[str, str], str] = {}
    for entry in experiment.methods:
        for label, _ in entry.variants():
            place = experiment.pivot_place(entry, labels[label])
            if place is not None and place in seen:
                raise BenchError(f"{where()}: rows {seen[place]!r} and {label!r} fall on one place")
            if place is not None:
                seen[place] = label


def known(kind: str, name: str, names: Iterable[str]) -> None:
    """Refuse a name that is not one of `names`."""
    names = list(names)
    if name not in names:
        raise BenchError(f"no {kind} {name!r}; {nearest(name, names)}")


def explained(error: Any, place: tuple[str | int, ...]) -> str:
    """Return a validation error in one line, with the nearest name for an unknown key."""
    key = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        named = [PARTS[str(key)] for key in place[:-1] if str(key) in PARTS]
        part = named[-1] if named else Experiment
        return f"unknown key {place[-1]!r}; {nearest(str(place[-1]), part.model_fields)}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    message = re.sub(r"^Input should", "it should", error["msg"])
    if error["type"] == "value_error":  # our own word on values that clash
        return f"{key}: {error['ctx']['error']}"
    return f"{key} = {error['input']!r}: {message}"


def numbered(
    node: yaml.Node | None, place: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Yield the place of each key and list item, and its line from 1."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                mark = key.start_mark
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} twice", problem_mark=mark)
            seen.add(key.value)
            here = (*place, key.value)
            yield here, key.start_mark.line + 1
            yield from numbered(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield (*place, i), value.start_mark.line + 1
            yield from numbered(value, (*place, i))
