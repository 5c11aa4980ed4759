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
from bench.runner.experiment import Experiment
from bench.runner.plan import Cell
from bench.runner.store import CellFolder, read_json, write_text

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
        Title, citation and licence of the dataset, and ``n_test`` of ``n_full`` test tracks.
    cells
        All of them, those without scores too.
    folders
        One a cell.
    """

    experiment: Experiment
    corpus: dict[str, Any]
    cells: Sequence[Cell]
    folders: Sequence[CellFolder]

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


def note(runs: Path, experiment: Experiment, dataset: Dataset, cells: Sequence[Cell]) -> None:
    """Write which cells make up an experiment, so that its report can be made again."""
    corpus = {
        "title": dataset.TITLE,
        "citation": dataset.CITATION,
        "licence": dataset.LICENCE,
        "n_test": len(dataset.names("test")),
        "n_full": dataset.FULL_SIZES["test"],
    }
    value = {
        "experiment": experiment.model_dump(),
        "corpus": corpus,
        "cells": [cell.to_json() for cell in cells],
    }
    folder = runs / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{experiment.name}.json", json.dumps(value, indent=1) + "\n")


def recall(runs: Path, name: str) -> Results:
    """Read back what `note` wrote and what the cells have left.

    Raises
    ------
    BenchError
        The experiment was never run here.
    """
    value = read_json(runs / "experiments" / f"{name}.json")
    if value is None:
        raise BenchError(
            f"nothing is tracked of an experiment {name!r} in {runs}; "
            f"run it first: bench run experiments/{name}.yaml"
        )
    cells = [Cell(**cell) for cell in value["cells"]]
    experiment = Experiment.model_validate(value["experiment"])
    folders = [CellFolder(runs, cell) for cell in cells]
    return Results(experiment, value["corpus"], cells, folders)
