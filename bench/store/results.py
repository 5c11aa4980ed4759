"""What an experiment has come to: its cells and their scores, read from the folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.datasets.dataset import Dataset
from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment, MethodEntry
from bench.store.cell_folder import CellFolder, read_json, write_text

#: Of the columns of `Results.scores`; raise it with every change of them.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Results:
    """An experiment and what its cells have left.

    Attributes
    ----------
    experiment
        As it was run.
    corpus
        Title, citation and licence of the dataset, ``n_test`` of ``n_full`` test tracks, and
        whether it ``shares_audio``.
    cells
        All of them, those without scores too.
    folders
        One a cell.
    overrides
        What the command line changed of the experiment file, ``key=value``.
    """

    experiment: Experiment
    corpus: dict[str, Any]
    cells: Sequence[Cell]
    folders: Sequence[CellFolder]
    overrides: Sequence[str] = ()

    def scores(self) -> pd.DataFrame:
        """Return the tidy scores of all finished cells.

        Returns
        -------
        DataFrame
            Columns row, method, seed (-1 for none), track, target, protocol, metric, window,
            value, n_samples.
        """
        frames = []
        for cell, folder in zip(self.cells, self.folders, strict=True):
            for name in cell.protocols:
                scores = folder.scores(name)
                if scores is not None:
                    seed = -1 if cell.seed is None else cell.seed
                    frames.append(scores.assign(row=cell.row, method=cell.method, seed=seed))
        columns = ["row", "method", "seed", "track", "target", "protocol", "metric", "window",
                   "value", "n_samples"]  # fmt: skip
        return pd.concat(frames, ignore_index=True)[columns] if frames else empty(columns)


def empty(columns: Sequence[str]) -> pd.DataFrame:
    """Return a frame of these columns and no row."""
    return pd.DataFrame({column: [] for column in columns})


def note(
    runs: Path,
    experiment: Experiment,
    dataset: Dataset,
    cells: Sequence[Cell],
    overrides: Sequence[str],
) -> None:
    """Write which cells make up an experiment, so that its report can be made again.

    Guests, estimates that were made elsewhere, stay.
    """
    corpus = {
        "title": dataset.TITLE,
        "citation": dataset.CITATION,
        "licence": dataset.LICENCE,
        "n_test": len(dataset.names("test")),
        "n_full": dataset.FULL_SIZES.get("test", len(dataset.names("test"))),
        "shares_audio": dataset.SHARES_AUDIO,
    }
    value = {
        "experiment": experiment.model_dump(),
        "corpus": corpus,
        "cells": [cell.to_json() for cell in cells],
        "overrides": list(overrides),
        "guests": (read_json(note_path(runs, experiment.name)) or {}).get("guests", []),
    }
    path = note_path(runs, experiment.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(value, indent=1) + "\n")


def note_path(runs: Path, name: str) -> Path:
    """Return the file that says which cells make up an experiment."""
    return runs / "experiments" / f"{name}.json"


def welcome(runs: Path, name: str, guest: Cell) -> None:
    """Add estimates that were made elsewhere to an experiment; another of its label goes."""
    value = read_json(note_path(runs, name)) or {}
    others = [cell for cell in value.get("guests", []) if cell["row"] != guest.row]
    value["guests"] = [*others, guest.to_json()]
    write_text(note_path(runs, name), json.dumps(value, indent=1) + "\n")


def guest_entry(guest: Cell) -> MethodEntry:
    """Return the line of an experiment that stands for estimates made elsewhere."""
    digest = str(guest.hyperparameters.get("estimates", ""))[:12]
    note = f"made elsewhere, scored from files (SHA-256 {digest}…)."
    note = str(guest.hyperparameters.get("note", note))  # imported scores bring their own
    return MethodEntry(method=guest.method, label=guest.row, note=note)


def recall(runs: Path, name: str) -> Results:
    """Read back what `note` wrote and what the cells have left.

    Raises
    ------
    BenchError
        The experiment was never run here.
    """
    value = read_json(note_path(runs, name))
    if value is None:
        raise BenchError(
            f"nothing is tracked of an experiment {name!r} in {runs}; "
            f"run it first: bench run experiments/{name}.yaml"
        )
    try:
        guests = [Cell(**cell) for cell in value.get("guests", [])]
        cells = [Cell(**cell) for cell in value["cells"]] + guests
        experiment = Experiment.model_validate(value["experiment"])
        corpus = value["corpus"]
    except (KeyError, TypeError, ValueError):
        raise BenchError(
            f"{note_path(runs, name)} is damaged; the same bench run writes it anew"
        ) from None
    known = {label for entry in experiment.methods for label, _ in entry.variants()}
    lines = [guest_entry(guest) for guest in guests if guest.row not in known]
    experiment = experiment.model_copy(update={"methods": [*experiment.methods, *lines]})
    folders = [CellFolder(runs, cell) for cell in cells]
    return Results(experiment, corpus, cells, folders, value.get("overrides", []))
