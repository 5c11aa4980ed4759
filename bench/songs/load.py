"""The one loader: from what a user names to a method that separates songs.

A name may be a method's (``rpca``, ``package.module:Class``), a folder of weights (what
`bench.methods.separator.Separator.save` wrote, or a cell's folder in ``runs/``), an MLflow run
(``runs:/ID`` or the ID alone) or an MLflow model (``models:/…``). A folder that is named like a
method is ``./rpca``.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.errors import BenchError, nearest
from bench.methods import registry
from bench.methods.saved import load_saved
from bench.methods.separator import Separator
from bench.methods.song import SongSeparator
from bench.songs.choose import trained_runs
from bench.store.trained import cell_folder_at, load_method
from bench.store.workspace import Workspace

#: Number of trained runs that a message names at most.
MOST_NAMED = 5


def load(name: str, workspace: Workspace | None = None) -> SongSeparator:
    """Return a method ready for songs.

    Parameters
    ----------
    name
        See above.
    workspace
        The working directory that holds ``runs/`` and the default MLflow store; the current one
        unless given.

    Raises
    ------
    BenchError
        Nothing is known by that name, or it is not trained.
    """
    return SongSeparator(_method(name, workspace or Workspace()), name)


def _method(name: str, workspace: Workspace) -> Separator:
    """Return the method that a name stands for."""
    if name.startswith("models:/"):
        from bench.tracking.recorded_method import download_method

        return download_method(name, workspace)
    if name.startswith("runs:/") or re.fullmatch(r"[0-9a-f]{32}", name):
        from bench.tracking.recorded_method import method_of_run

        return method_of_run(name.removeprefix("runs:/"), workspace)
    if name not in registry.table() and Path(name).is_dir():
        return _in_folder(Path(name))
    if name not in registry.table() and ":" not in name:
        known = nearest(name, registry.table())
        raise BenchError(
            f"no method, run (runs:/ID), model (models:/…) or folder {name!r}; {known}"
        )
    cls = registry.find_method(name)
    if registry.learns(cls):
        here = [run.text for run in trained_runs(workspace, name)[:MOST_NAMED]]
        raise BenchError(
            f"{name} must be trained: name a run of it (--with runs:/ID), a model (models:/…) or "
            "the folder of its weights; trained and scored here: "
            f"{'; '.join(here) or 'none (bench run)'}"
        )
    return registry.make(cls, {}, name)


def _in_folder(folder: Path) -> Separator:
    """Return the method saved in a folder or in ``fit`` below it, or that of the cell there.

    Raises
    ------
    BenchError
        The folder holds no method, or one that is damaged.
    """
    for home in (folder, folder / "fit"):
        if (home / "separator.json").is_file():
            return load_saved(home)
    if (folder / "cell.json").is_file():
        return load_method(cell_folder_at(folder))
    raise BenchError(f"{folder} holds no method: separator.json is missing")
