"""From a name and values in an experiment file to a method that can be called."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import pydantic

from bench.errors import BenchError, nearest
from bench.methods.separator import Separator

#: Where a table may show a method that is run here.
GROUPS = ("supervised", "unsupervised", "bound")


def table() -> dict[str, str]:
    """Return the built-in methods: ``package.module:Class`` by name."""
    methods: dict[str, str] = importlib.import_module("baselines").METHODS
    return methods


def moved() -> dict[str, str]:
    """Return the class paths of earlier releases, each with the path of the class today."""
    paths: dict[str, str] = importlib.import_module("baselines").MOVED
    return paths


def find_method(name: str) -> type[Separator]:
    """Return the class of a method.

    Parameters
    ----------
    name
        A name in the table of `baselines`, or ``package.module:Class`` of one that lives
        elsewhere.

    Raises
    ------
    BenchError
        The name is unknown (with the nearest one), the module cannot be imported, or the
        class is no separator.
    """
    known = table()
    path = known.get(name, moved().get(name, name))
    module_name, colon, class_name = path.partition(":")
    if not colon:
        raise BenchError(f"no method {name!r}; {nearest(name, known)}")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's module does at import
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BenchError(f"method {name!r} cannot be imported: {reason}") from None
    if not (isinstance(cls, type) and issubclass(cls, Separator)):
        raise BenchError(
            f"method {name!r}: {path} is no subclass of bench.methods.separator.Separator"
        )
    if inspect.isabstract(cls):
        lacking = ", ".join(sorted(cls.__abstractmethods__))
        raise BenchError(f"method {name!r}: {path} does not define {lacking}")
    if cls.GROUP not in GROUPS:
        raise BenchError(
            f"method {name!r}: {path} has GROUP {cls.GROUP!r}; {nearest(cls.GROUP, GROUPS)}"
        )
    return cls


def fields(cls: type[Separator]) -> list[str]:
    """Return the names of a method's hyperparameters."""
    return [field.name for field in dataclasses.fields(cls)]


def fingerprint_values(name: str, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a cell's hyperparameters identifies it; see `Separator.fingerprint_values`.

    Parameters
    ----------
    name
        Name of the method. All hyperparameters count where it has no class here: scores from
        elsewhere, or a package that is not installed.
    hyperparameters
        Values by field name.
    """
    try:
        cls = find_method(name)
    except BenchError:
        return dict(hyperparameters)
    return cls.fingerprint_values(hyperparameters)


def learns(cls: type[Separator]) -> bool:
    """Tell whether a method has a `fit` of its own, and so depends on the training tracks."""
    return cls.fit is not Separator.fit


def make(cls: type[Separator], hyperparameters: Mapping[str, Any], where: str) -> Separator:
    """Make a method from its hyperparameters.

    Parameters
    ----------
    cls
        The method.
    hyperparameters
        Values by field name.
    where
        How to name the place of these values in a message.

    Raises
    ------
    BenchError
        A field is unknown (with the nearest name) or its value is refused.
    """
    known = fields(cls)
    for key in hyperparameters:
        if key not in known:
            raise BenchError(
                f"{where}: {cls.__name__} has no hyperparameter {key!r}; {nearest(key, known)}"
            )
    try:
        method = cls(**hyperparameters)
        json.dumps(method.hyperparameters(), allow_nan=False)
        return method
    except TypeError:
        raise BenchError(
            f"{where}: the hyperparameters of {cls.__name__} must be numbers, strings, or lists "
            "and mappings of them"
        ) from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "value_error":  # the method's own word on values that clash
            raise BenchError(f"{where}: {first['ctx']['error']}") from None
        place = ".".join(str(part) for part in first["loc"])
        raise BenchError(f"{where}: {place} = {first['input']!r}: {first['msg']}") from None
