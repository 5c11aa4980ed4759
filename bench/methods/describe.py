"""What a method's hyperparameters are: default, allowed values and meaning of each."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from bench.methods.separator import Separator


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter of a method.

    Attributes
    ----------
    name, default
        As an experiment file writes them.
    values
        The allowed values in words.
    meaning
        Its description in the method's docstring, as plain text; empty where there is none.
    """

    name: str
    default: str
    values: str
    meaning: str


def summary(cls: type[Separator]) -> str:
    """Return the first line of a method's docstring, empty where it has none."""
    return next(iter((cls.__doc__ or "").strip().splitlines()), "")


def describe(cls: type[Separator]) -> list[Hyperparameter]:
    """Return the hyperparameters of a method, in the order of its fields."""
    schema = pydantic.TypeAdapter(cls).json_schema()["properties"]
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        meanings |= _documented(vars(base).get("__doc__") or "")
    return [
        Hyperparameter(
            field.name,
            _as_written(schema[field.name].get("default")),
            allowed_values(schema[field.name]),
            meanings.get(field.name, "").replace("`", ""),
        )
        for field in dataclasses.fields(cls)
    ]


def allowed_values(schema: Mapping[str, Any]) -> str:
    """Return in words what a JSON schema allows.

    Examples
    --------
    >>> allowed_values({"type": "integer", "minimum": 1})
    'integer, 1 or more'
    >>> allowed_values({"anyOf": [{"const": "random"}, {"type": "integer", "minimum": 0}]})
    'random; or integer, 0 or more'
    """
    if "anyOf" in schema:
        return "; or ".join(allowed_values(part) for part in schema["anyOf"])
    if "const" in schema:
        return _as_written(schema["const"])
    if "enum" in schema:
        return ", ".join(map(_as_written, schema["enum"]))
    if schema.get("type") == "boolean":
        return "true, false"
    bounds = {
        "minimum": "{:g} or more",
        "exclusiveMinimum": "above {:g}",
        "maximum": "{:g} at most",
        "exclusiveMaximum": "below {:g}",
    }
    words = [text.format(schema[key]) for key, text in bounds.items() if key in schema]
    return ", ".join([str(schema.get("type", "any value")), *words])


def _as_written(value: Any) -> str:
    """Return a value as YAML writes it, words without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value)


def _documented(docstring: str) -> dict[str, str]:
    """Return the text of each name in the section "Parameters" of a docstring."""
    lines = inspect.cleandoc(docstring).splitlines()
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in _section(lines, "Parameters"):
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            meanings |= dict.fromkeys(names, "")
        elif line:
            for name in names:
                meanings[name] = f"{meanings[name]} {line.strip()}".strip()
    return meanings


def _section(lines: list[str], title: str) -> Iterator[str]:
    """Yield the lines of a section of a docstring, without its heading."""
    inside = False
    for line, after in itertools.pairwise([*lines, ""]):
        is_heading = bool(line) and after.startswith("---") and set(after) == {"-"}
        if is_heading:
            inside = line == title
        elif inside and not (line.startswith("---") and set(line) == {"-"}):
            yield line
