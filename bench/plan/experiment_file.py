"""Reads an experiment file: YAML with overrides to a checked `Experiment`, or one line of error."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.errors import BenchError, joined, nearest
from bench.plan import checks
from bench.plan.checks import Place, Source
from bench.plan.experiment import (
    LISTED_TWICE,
    UNKNOWN_NAME,
    Experiment,
    Figure,
    MethodEntry,
    Pivot,
    Strict,
    Table,
    Transform,
)

#: The part of an experiment that each key holds.
_PARTS: dict[str, type[Strict]] = {
    "methods": MethodEntry,
    "table": Table,
    "figure": Figure,
    "pivot": Pivot,
    "stft": Transform,
}
#: What a key may be to YAML: text, or ``<<``, which merges another mapping.
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
#: What PyYAML raises on a text that is no YAML, or on a tag whose value is not of its type, such as
#: ``!!bool foo``.
_NOT_YAML = (yaml.YAMLError, ValueError, KeyError, AttributeError, IndexError)
#: Most values of a file; the largest experiment here has about 200.
_MOST_VALUES = 100_000


def read_experiment(path: Path, overrides: Iterable[str] = ()) -> Experiment:
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
        lines = _lines(text)
        content = yaml.safe_load(text)
    except RecursionError:
        raise BenchError(f"{path}: not readable as YAML: it is nested too deeply") from None
    except _NOT_YAML as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise BenchError(f"{where}: not readable as YAML: {_problem(error)}") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path}: an experiment file is a mapping of keys to values")
    overrides = list(overrides)
    content = _overridden({"name": path.stem, **content}, overrides)
    source = Source(path, lines, {_place(word, content): word for word in overrides})
    experiment = _typed(content, source)
    checks.check_experiment(experiment, source)
    return experiment


def _place(override: str, content: Any) -> Place:
    """Return the keys and list indices, from 0, that an override leads through in a content.

    Examples
    --------
    >>> _place("methods[-1].fixed.gamma=0.1", {"methods": [{}, {}]})
    ('methods', 1, 'fixed', 'gamma')
    """
    place: list[str | int] = []
    for part in re.findall(r"[^.\[\]]+", override.partition("=")[0]):
        key: str | int = part
        if isinstance(content, list) and re.fullmatch(r"-?\d+", part):
            key = int(part) + (len(content) if part.startswith("-") else 0)
        place.append(key)
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            content = None
    return tuple(place)


def _problem(error: Exception) -> str:
    """Return in one line what is wrong with a text that is no YAML."""
    return getattr(error, "problem", None) or str(error).splitlines()[0]


def _overridden(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the content of a file with the values of a dot-list set in it."""
    if not overrides:
        return content
    try:
        config = OmegaConf.create(content)
    except OmegaConfBaseException as error:
        raise BenchError(f"-o cannot be applied: {str(error).splitlines()[0]}") from None
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise BenchError(f"-o {override}: write key=value, such as -o seeds=[0,1]")
        try:
            _lines(value)  # its keys are checked
            parsed = yaml.safe_load(value)
        except RecursionError:
            raise BenchError(f"-o {key}: the value is nested too deeply") from None
        except _NOT_YAML as error:
            raise BenchError(f"-o {override}: {_problem(error)}") from None
        try:
            OmegaConf.update(config, key, parsed, merge=False, force_add=True)
        except IndexError:
            so_far = OmegaConf.to_container(config, resolve=False)
            raise BenchError(f"-o {override}: {_length(so_far, override)}") from None
        except (OmegaConfBaseException, ValueError, TypeError) as error:
            raise BenchError(f"-o {override}: {str(error).splitlines()[0]}") from None
    changed: Any = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in changed.items()}


def _length(content: Any, override: str) -> str:
    """Return which list on the way of an override ends before its index, and its length."""
    place = _place(override, content)
    for i, key in enumerate(place):
        if isinstance(content, list) and isinstance(key, int) and not 0 <= key < len(content):
            name = ".".join(map(str, place[:i]))
            return f"{name} has {len(content)} items, numbered from 0"
        content = content[key]
    return "a list on the way is too short"


def _typed(content: Mapping[str, Any], source: Source) -> Experiment:
    """Return the experiment that the content of a file states.

    Raises
    ------
    BenchError
        Keys are unknown or missing, or values are refused, a line each. Where a part of the file
        has a misspelt key, the keys that it lacks are not named.
    """
    try:
        return Experiment.model_validate(content)
    except pydantic.ValidationError as error:
        faults: dict[Place, Any] = {}
        for fault in error.errors():
            faults.setdefault(_place_of(fault, content), fault)
    misspelt = {place[:-1] for place, fault in faults.items() if fault["type"] == "extra_forbidden"}
    raise joined(
        BenchError(f"{source.where_set(*place)}: {_explained(fault, place)}")
        for place, fault in faults.items()
        if fault["type"] != "missing" or place[:-1] not in misspelt
    )


def _place_of(fault: Any, content: Any) -> Place:
    """Return the keys and indices that lead to a fault; pydantic adds names of types to them."""
    place: list[str | int] = []
    for key in fault["loc"]:
        is_there = isinstance(content, Mapping) and key in content
        if not is_there and not (isinstance(content, list) and isinstance(key, int)):
            break
        place.append(key)
        content = content[key]
    return (*place, fault["loc"][-1]) if fault["type"] == "missing" else tuple(place)


def _explained(error: Any, place: Place) -> str:
    """Return a validation error in one line, with the nearest name for an unknown key."""
    key = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        named = [_PARTS[str(key)] for key in place[:-1] if str(key) in _PARTS]
        part = named[-1] if named else Experiment
        return f"unknown key {place[-1]!r}; {nearest(str(place[-1]), part.model_fields)}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    if error["type"] == UNKNOWN_NAME:
        return str(error["ctx"]["text"])
    if error["type"] == LISTED_TWICE:
        return f"{error['ctx']['value']} stands twice in {key}"
    message = re.sub(r"^Input should", "it should", error["msg"])
    if error["type"] == "value_error":  # raised by a validator of several keys
        return f"{key}: {error['ctx']['error']}"
    return f"{key} = {error['input']!r}: {message}"


def _lines(text: str) -> dict[Place, int]:
    """Return the line of each key and list item of a YAML text by its place; see `_numbered`.

    Raises
    ------
    yaml.YAMLError
        It is no YAML, a key is no text or stands twice, or there are more than `_MOST_VALUES`
        values, as where aliases of aliases stand for billions.
    """
    places = _numbered(yaml.compose(text, Loader=yaml.SafeLoader))
    lines = dict(itertools.islice(places, _MOST_VALUES))
    if next(places, None) is not None:
        raise yaml.MarkedYAMLError(problem=f"it holds more than {_MOST_VALUES} values")
    return lines


def _numbered(node: yaml.Node | None, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Yield the place of each key and list item, and its line from 1."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            problem = ""
            if key.tag not in _KEY_TAGS:  # on, null, 1, [a]
                problem = f"key {key.value} is no text to YAML; write it in quotes"
            elif key.value in seen:
                problem = f"key {key.value!r} twice"
            if problem:
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
            here = (*place, key.value)
            yield here, key.start_mark.line + 1
            yield from _numbered(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield (*place, i), value.start_mark.line + 1
            yield from _numbered(value, (*place, i))
