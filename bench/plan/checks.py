"""Checks of an experiment that its field types cannot make: names of methods, rows, grids.

Each check refuses one kind of mistake, and names the line of the file that holds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import datasets
from bench.errors import BenchError, check_known, joined, nearest
from bench.methods import registry
from bench.plan.experiment import Experiment, MethodEntry
from bench.scoring import aggregate

#: Keys and list indices that lead to a value in an experiment file.
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """The file of an experiment, for messages.

    Attributes
    ----------
    path
        The file.
    lines
        Line, from 1, of each key and list item by its place.
    overrides
        What the command line set in the content of the file, ``key=value`` by its place.
    """

    path: Path
    lines: Mapping[Place, int]
    overrides: Mapping[Place, str] = field(default_factory=dict)

    def where(self, *place: str | int) -> str:
        """Return the override that set a place, or ``path:line`` of the nearest part around it."""
        around = [place[:n] for n in range(len(place), 0, -1)]
        for part in around:
            if part in self.overrides:
                return f"-o {self.overrides[part]}"
        for part in around:
            if part in self.lines:
                return f"{self.path}:{self.lines[part]}"
        return str(self.path)

    def where_set(self, *place: str | int) -> str:
        """Return the override that set a part of a value, or else where the value was set."""
        for inside, word in self.overrides.items():
            if len(inside) > len(place) and inside[: len(place)] == place:
                return f"-o {word}"
        return self.where(*place)


def check_experiment(experiment: Experiment, source: Source) -> None:
    """Make every check.

    Raises
    ------
    BenchError
        The mistakes, a line each. Rows are checked where all methods and their hyperparameters are
        known.
    """
    errors = []

    def attempt(check: Callable[..., None], *arguments: Any) -> None:
        try:
            check(*arguments, source)
        except BenchError as error:
            errors.append(error)

    for check in (_check_dataset, _check_metrics, _check_figure):
        attempt(check, experiment)
    for i, entry in enumerate(experiment.methods):
        attempt(_check_entry, entry, i)
    if errors:
        raise joined(errors)
    _check_pivot(experiment, _check_rows(experiment, source), source)


def _check_dataset(experiment: Experiment, source: Source) -> None:
    """Refuse an unknown dataset."""
    try:
        datasets.find_dataset(experiment.dataset)
    except BenchError as error:
        raise BenchError(f"{source.where('dataset')}: {error}") from None


def _check_metrics(experiment: Experiment, source: Source) -> None:
    """Refuse a protocol that has none of the metrics of the table."""
    for name in experiment.protocols:
        if not experiment.metrics(name):
            where, has = source.where("table", "metrics"), ", ".join(aggregate.metrics(name))
            raise BenchError(f"{where}: {name} has none of these; it has {has}")


def _check_figure(experiment: Experiment, source: Source) -> None:
    """Refuse a figure over a hyperparameter that no method sweeps."""
    if experiment.figure and experiment.figure.over:
        swept = {name for entry in experiment.methods for name in entry.sweep}
        where = source.where("figure", "over")
        _check_known(experiment.figure.over, "swept hyperparameter", swept, where)


def _check_entry(entry: MethodEntry, i: int, source: Source) -> None:
    """Refuse an unknown method, and a hyperparameter that is unknown, set twice, or the seed.

    Parameters
    ----------
    entry
        The entry.
    i
        Index of the entry in ``methods``.
    source
        The file.
    """
    try:
        cls = registry.find_method(entry.method)
    except BenchError as error:
        raise BenchError(f"{source.where('methods', i, 'method')}: {error}") from None
    known = registry.fields(cls)
    errors = []
    for part, values in (("fixed", entry.fixed), ("sweep", entry.sweep)):
        for name in values:
            problem = ""
            if name not in known:
                problem = f"{entry.method} has no hyperparameter {name!r}; {nearest(name, known)}"
            elif name == "seed":
                problem = "seeds are set by the key 'seeds'"
            elif part == "sweep" and name in entry.fixed:
                problem = f"{name!r} is fixed and swept"
            if problem:
                errors.append(BenchError(f"{source.where('methods', i, part, name)}: {problem}"))
    if errors:
        raise joined(errors)


def _check_rows(experiment: Experiment, source: Source) -> dict[str, dict[str, Any]]:
    """Refuse values that a method refuses, and two rows of one label or of the same values.

    Returns
    -------
    dict
        All hyperparameters of each row by its label, defaults too.
    """
    rows: dict[str, dict[str, Any]] = {}
    label_of: dict[str, str] = {}
    errors = []
    for i, entry in enumerate(experiment.methods):
        cls = registry.find_method(entry.method)
        common = experiment.transform(cls, None)

        def where(name: str, i: int = i, entry: MethodEntry = entry) -> str:
            part = "sweep" if name in entry.sweep else "fixed"
            return source.where("methods", i, part, name)

        for name in re.findall(r"\{(\w+)\}", entry.label):
            if name not in {**entry.fixed, **entry.sweep}:
                line = source.where("methods", i, "label")
                errors.append(
                    BenchError(
                        f"{line}: {{{name}}} stands for no value: write {name} into fixed or sweep"
                    )
                )
        for label, values in entry.variants():
            if label in rows:
                line = source.where("methods", i, "label")
                errors.append(BenchError(f"{line}: two rows are named {label!r}"))
            try:
                method = registry.make(cls, {**common, **values}, where)
            except BenchError as error:
                errors.append(error)
                continue
            rows[label] = method.hyperparameters()
            canonical = json.dumps([entry.method, rows[label]], sort_keys=True)
            twin = label_of.setdefault(canonical, label)
            if twin != label:
                errors.append(
                    BenchError(
                        f"{source.where('methods', i)}: rows {twin!r} and {label!r} are the same "
                        "method with the same values; keep one"
                    )
                )
    if errors:
        raise joined(errors)
    return rows


def _check_pivot(
    experiment: Experiment, rows: Mapping[str, Mapping[str, Any]], source: Source
) -> None:
    """Refuse a grid whose axes name no hyperparameter, or two rows of which share a place.

    Parameters
    ----------
    experiment
        The experiment.
    rows
        All hyperparameters of each row by its label.
    source
        The file.
    """
    pivot = experiment.table.pivot
    if pivot is None:
        return
    names = {"label"}.union(*rows.values())
    for axis, name in (("rows", pivot.rows), ("columns", pivot.columns)):
        _check_known(name, "hyperparameter", names, source.where("table", "pivot", axis))
    label_at: dict[tuple[str, str], str] = {}
    for entry in experiment.methods:
        for label, _ in entry.variants():
            place = experiment.pivot_place(entry, rows[label])
            if place is None:
                continue
            other = label_at.setdefault(place, label)
            if other != label:
                where = source.where("table", "pivot")
                raise BenchError(f"{where}: rows {other!r} and {label!r} fall on one place")


def _check_known(name: str, kind: str, names: Iterable[str], where: str) -> None:
    """Refuse a name that is not one of `names`, with its line."""
    try:
        check_known(kind, name, names)
    except BenchError as error:
        raise BenchError(f"{where}: {error}") from None
