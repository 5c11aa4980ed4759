"""From a name and values in an experiment file to a method that can be called."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from bench.errors import BenchError, exception_text, joined, nearest
from bench.methods.describe import describe
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


#: Folders in which modules of methods are looked for, beside the working directory.
_FOLDERS: list[Path] = []


def look_in(folder: Path) -> None:
    """Find modules of methods in a folder too, after all that is installed; see `_is_local`."""
    if folder not in _FOLDERS:
        _FOLDERS.append(folder)


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
    if not class_name:
        raise BenchError(f"method {name!r} names no class: write {module_name}:Class")
    module = _module(module_name, name)
    try:
        cls = getattr(module, class_name)
    except AttributeError:
        raise BenchError(
            f"method {name!r}: module {module_name} has no class {class_name}"
        ) from None
    except Exception as error:  # noqa: BLE001 - a module may make its names by code of its own
        raise BenchError(f"method {name!r} cannot be imported: {exception_text(error)}") from None
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


def _module(name: str, method: str) -> ModuleType:
    """Return a module that holds a method: installed, or a user's own; see `_is_local`.

    Raises
    ------
    BenchError
        There is no such module, or it cannot be imported.
    """
    top = name.partition(".")[0]
    try:
        if top not in sys.modules and not _is_installed(top):
            if not _is_local(top):
                raise ModuleNotFoundError(name=top)
            sys.path += [str(folder) for folder in _folders() if str(folder) not in sys.path]
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise BenchError(f"method {method!r} cannot be imported: {error}") from None
        way_out = (
            f"put {name.replace('.', '/')}.py into the folder in which bench is run, or install "
            "its package"
            if missing == top
            else f"{missing.rpartition('.')[0]} has none of that name"
        )
        raise BenchError(f"method {method!r}: there is no module {name}: {way_out}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's module does
        raise BenchError(f"method {method!r} cannot be imported: {exception_text(error)}") from None


def _folders() -> list[Path]:
    """Return the folders in which a user's own modules of methods may lie."""
    return [*_FOLDERS, Path.cwd()]


def _is_local(top: str) -> bool:
    """Tell whether a user's own module or package lies directly in one of the folders.

    The name of a method may come from data, such as a report or a trained model that somebody else
    has made. A file amid data is therefore no module, though Python takes each folder for a
    package; and the folders are no part of Python's path before a module of theirs is asked for.
    """
    return any(
        (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()
        for folder in _folders()
    )


def _is_installed(top: str) -> bool:
    """Tell whether Python finds a module or package, folders without ``__init__.py`` left out."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


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


def after_training(name: str) -> frozenset[str]:
    """Return the hyperparameters that a method reads only once it is trained.

    Parameters
    ----------
    name
        Name of the method; one that has no class here has none.
    """
    try:
        return frozenset(find_method(name).AFTER_TRAINING)
    except BenchError:
        return frozenset()


def reads_test_labels(name: str) -> bool:
    """Tell whether a method reads the labels of the tracks that it separates: a bound that does.

    Parameters
    ----------
    name
        Name of the method; one that has no class here reads none.
    """
    try:
        cls = find_method(name)
    except BenchError:
        return False
    return cls.READS_LABELS and not learns(cls)


def learns(cls: type[Separator]) -> bool:
    """Tell whether a method has a `fit` of its own, and so depends on the training tracks."""
    return cls.fit is not Separator.fit


def make(
    cls: type[Separator], hyperparameters: Mapping[str, Any], where: str | Callable[[str], str]
) -> Separator:
    """Make a method from its hyperparameters.

    Parameters
    ----------
    cls
        The method.
    hyperparameters
        Values by field name.
    where
        How to name the place of these values in a message: in words, or a function that returns
        them for the name of a hyperparameter, which is empty where several clash.

    Raises
    ------
    BenchError
        A field is unknown (with the nearest name) or its value is refused.
    """
    known = fields(cls)
    for key in hyperparameters:
        if key not in known:
            raise BenchError(
                f"{_at(where, key)}: {cls.__name__} has no hyperparameter {key!r}; "
                f"{nearest(key, known)}"
            )
    try:
        method = cls(**hyperparameters)
    except pydantic.ValidationError as error:
        raise joined(
            BenchError(f"{_at(where, *map(str, fault['loc'][:1]))}: {_reason(cls, fault)}")
            for fault in error.errors()
        ) from None
    except Exception as error:
        if is_ours(cls):
            raise  # a defect of ours, which needs its traceback
        raise BenchError(
            f"{_at(where)}: {cls.__name__} cannot be made: {exception_text(error)}"
        ) from error
    try:
        json.dumps(method.hyperparameters(), allow_nan=False)
    except (TypeError, ValueError):
        raise BenchError(
            f"{_at(where)}: the hyperparameters of {cls.__name__} must be finite numbers, strings, "
            "or lists and mappings of them"
        ) from None
    return method


def is_ours(cls: type) -> bool:
    """Tell whether a class is of this suite, and not of a package or file from elsewhere."""
    return cls.__module__.startswith(("bench.", "baselines."))


def _at(where: str | Callable[[str], str], name: str = "") -> str:
    """Return the place of a hyperparameter in words; see `make`."""
    return where if isinstance(where, str) else where(name)


def _reason(cls: type[Separator], fault: Any) -> str:
    """Return why a value is refused, from what pydantic says of it, with the values allowed."""
    if fault["type"] in ("value_error", "assertion_error"):  # the method's own word
        reason = str(fault["ctx"]["error"])
        return reason or f"{cls.__name__} refuses these values and does not say why"
    name, *inside = fault["loc"]
    item = name + "".join(f"[{part}]" for part in inside if isinstance(part, int))
    allowed = next((one.values for one in describe(cls) if one.name == name), fault["msg"])
    if fault["type"] == "missing":
        return f"{item} has no value, and {cls.__name__} has no default for it; allowed: {allowed}"
    return f"{item} = {fault['input']!r} is refused; allowed: {allowed}"
