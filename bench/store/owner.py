"""Which file a name belongs to: no other experiment replaces its report, its cells or its runs.

The list of an experiment's cells and ``provenance.json`` of its report name the file. An earlier
release did not; what it made belongs to ``experiments/<name>.yaml``. A name whose file is gone is
free. A record that is damaged says nothing, so that the same ``bench run`` can write it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.plan.cells import IMPORTED, MADE_ELSEWHERE, Cell
from bench.store.facts import ExperimentRecord, RecordedCell
from bench.store.files import read_json
from bench.store.manifest import manifest_path
from bench.store.workspace import Workspace

#: Stands for the file of an experiment that ``bench score`` or ``bench import`` has made.
NO_FILE = ""


def file_in(workspace: Workspace, path: Path) -> str:
    """Return the path of an experiment file as seen from the working directory."""
    return os.path.relpath(path, workspace.root)


@dataclass(frozen=True)
class _Owner:
    """The experiment file, or the external scores, to which a name belongs.

    Attributes
    ----------
    file
        Path of the experiment file; `NO_FILE` for external scores.
    overrides
        The ``key=value`` under which its report was made, without that of ``name``.
    origins
        See `_origin`.
    """

    file: str
    overrides: list[str]
    origins: list[list[Any]]


def check_file(workspace: Workspace, name: str, file: str, overrides: Sequence[str]) -> str:
    """Refuse to run an experiment under a name that belongs to another.

    Parameters
    ----------
    workspace
        The working directory.
    name
        Name of the experiment.
    file
        Its file, from `file_in`.
    overrides
        The ``key=value`` of the command line that change the file, in any order. Where ``name`` is
        among them, a report that was made with others may be replaced.

    Returns
    -------
    str
        One line where the report that is there is replaced by another; else empty.

    Raises
    ------
    BenchError
        The name belongs to another file, or its report was made with other overrides.
    """
    owner = _owner(workspace, name)
    if owner is None:
        return ""
    places = [(workspace.root / name_of_file).resolve() for name_of_file in (owner.file, file)]
    if not owner.file or places[0] != places[1]:
        if owner.file and not (workspace.root / owner.file).is_file():
            return f"the report of {owner.file}, which is gone, is replaced by that of {file}"
        whose = owner.file or "scores from files"
        raise BenchError(
            f"{file}: the name {name!r} belongs to {whose}, whose report would be replaced; give "
            "the file a name of its own: the key 'name', or -o name=..."
        )
    now = [word for word in overrides if not _names(word)]
    if _same(now, owner.overrides):
        return ""
    before, wanted = (
        f"with -o {' -o '.join(words)}" if words else "as its file states it"
        for words in (owner.overrides, now)
    )
    if not now or len(now) < len(overrides):
        return f"{name} was run {before}: it is now run {wanted}, and its report is replaced"
    raise BenchError(
        f"{name} was run {before}, and -o {' -o '.join(now)} would replace its report; name the "
        f"change: -o name={name}_2 (or -o name={name} to replace it)"
    )


def check_scores(workspace: Workspace, name: str, cell: Cell) -> None:
    """Refuse to write the report of external scores under a name that belongs to another.

    The same estimates against the same references may be scored again, by other protocols too.

    Parameters
    ----------
    workspace
        The working directory.
    name
        Name of the report.
    cell
        The cell of these scores.

    Raises
    ------
    BenchError
        The name belongs to an experiment file, or to other scores.
    """
    owner = _owner(workspace, name)
    if owner is None or owner.origins == [_origin(cell)]:
        return
    whose = owner.file or "other estimates or references"
    raise BenchError(
        f"the name {name!r} belongs to {whose}, whose report would be replaced: choose another "
        "name by --as"
    )


def _origin(cell: Cell | RecordedCell) -> list[Any]:
    """Return what a cell of external scores was made from: estimates or scores, and references."""
    values = cell.hyperparameters
    return [values.get("estimates"), values.get("scores"), cell.digests]


def _owner(workspace: Workspace, name: str) -> _Owner | None:
    """Return the owner of an experiment's name; None where nobody uses it."""
    paths = manifest_path(workspace.runs, name), workspace.reports / name / "provenance.json"
    record = next((record for path in paths if (record := _record(path))), None)
    if record is None:
        return None
    is_external = all(cell.method in (MADE_ELSEWHERE, IMPORTED) for cell in record.cells)
    default = NO_FILE if record.cells and is_external else f"experiments/{name}.yaml"
    return _Owner(
        default if record.file is None else record.file,
        [word for word in record.overrides if not _names(word)],
        [_origin(cell) for cell in record.cells],
    )


def _record(path: Path) -> ExperimentRecord | None:
    """Return what a file records of an experiment; None where it is missing or damaged."""
    try:
        return ExperimentRecord.model_validate(read_json(path))
    except ValidationError:
        return None


def _names(override: str) -> bool:
    """Tell whether an override gives the experiment's name."""
    return override.partition("=")[0] == "name"


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two lists of overrides say the same, in whatever order they stand.

    The order matters where one of them sets a part of what another sets.
    """
    if list(one) == list(other):
        return True
    keys = [word.partition("=")[0] for word in one]
    nested = any(a == b or re.match(rf"{re.escape(a)}[.\[]", b) for a, b in permutations(keys, 2))
    return not nested and sorted(one) == sorted(other)
