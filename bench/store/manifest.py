"""The list of an experiment's cells, which its report and its MLflow runs are made from.

    runs/experiments/<name>.json    the experiment, its corpus, its cells, and external scores

``bench run`` writes it before it computes anything; external scores that were added to the
experiment stay in it. It records the identity of each cell, so that the files of a cell are found
after its method's module has gone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.datasets import shares_audio
from bench.datasets.dataset import Dataset
from bench.errors import BenchError, nearest
from bench.methods import registry
from bench.plan.cells import MADE_ELSEWHERE, Cell
from bench.plan.experiment import Experiment, MethodEntry
from bench.store.cell_folder import CellFolder
from bench.store.facts import Corpus, ExperimentRecord
from bench.store.files import locked, read_json, write_text

if TYPE_CHECKING:
    from bench.store.results import Outcome, Results


@dataclass(frozen=True)
class Manifest:
    """An experiment and the list of its cells.

    Attributes
    ----------
    runs
        The folder that holds all cells.
    experiment, corpus, overrides, file
        As in `bench.store.results.Results`.
    cells
        In the order of the experiment file, external scores last.
    """

    runs: Path
    experiment: Experiment
    corpus: dict[str, Any]
    cells: Sequence[Cell]
    overrides: Sequence[str] = ()
    file: str | None = None

    @property
    def folders(self) -> list[CellFolder]:
        """The folder of each cell."""
        return [CellFolder(self.runs, cell) for cell in self.cells]

    def results(self, known: Sequence[Outcome] = ()) -> Results:
        """Return the outcome of each cell, read from its folder.

        Parameters
        ----------
        known
            Outcomes that were read before. The finished ones among them are not read again.
        """
        from bench.store.results import Results, read_outcome

        finished = {(o.cell.row, o.cell.seed): o for o in known if o.status == "done"}
        name = self.experiment.name
        outcomes = []
        for folder in self.folders:
            before = finished.get((folder.cell.row, folder.cell.seed))
            if before is None or before.cell != folder.cell:
                outcomes.append(read_outcome(folder, name))
            else:
                outcomes.append(before.with_mlflow_runs_of(folder, name))
        return Results(self.experiment, self.corpus, outcomes, self.overrides, self.file)


def save_manifest(
    runs: Path,
    experiment: Experiment,
    dataset: Dataset,
    cells: Sequence[Cell],
    overrides: Sequence[str],
    file: str,
) -> None:
    """Write the list of an experiment's cells; external scores that it has stay.

    Raises
    ------
    BenchError
        A row has the label of external scores, or these cannot be read.
    """
    path = manifest_path(runs, experiment.name)
    n_test = len(dataset.names("test"))
    value = {
        "experiment": experiment.model_dump(),
        "corpus": {
            "title": dataset.TITLE,
            "citation": dataset.CITATION,
            "licence": dataset.LICENCE,
            "n_test": n_test,
            "n_full": dataset.FULL_SIZES.get("test", n_test),
            "shares_audio": dataset.SHARES_AUDIO,
            "groups": dataset.test_groups(),
        },
        "cells": [cell.to_json() for cell in cells],
        "identities": [cell.identity() for cell in cells],
        "file": file,
        "overrides": list(overrides),
    }
    with locked(path.with_suffix(".lock")):
        external_cells = _external_cells(path, _content(path))
        for label in sorted({cell.row for cell in cells} & {cell.row for cell in external_cells}):
            raise BenchError(
                f"{file}: row {label!r} has the label of scores that were added to the experiment "
                f"{experiment.name!r}; choose another label for the row"
            )
        value["guests"] = [cell.to_json() for cell in external_cells]
        write_text(path, json.dumps(value, indent=1) + "\n")


def add_external(runs: Path, name: str, cell: Cell) -> None:
    """Add external scores to an experiment, in the place of those that have the same label.

    Raises
    ------
    BenchError
        Those that were added before cannot be read.
    """
    path = manifest_path(runs, name)
    with locked(path.with_suffix(".lock")):
        value = _content(path) or {}
        others = [other for other in _external_cells(path, value) if other.row != cell.row]
        value["guests"] = [cell.to_json() for cell in [*others, cell]]
        write_text(path, json.dumps(value, indent=1) + "\n")


def remove_external(runs: Path, name: str, label: str) -> None:
    """Remove the external scores of a label from an experiment; the folder of their cell stays.

    Raises
    ------
    BenchError
        The experiment has no external scores of that label, or those that it has cannot be read.
    """
    path = manifest_path(runs, name)
    with locked(path.with_suffix(".lock")):
        value = _content(path) or {}
        cells = _external_cells(path, value)
        if label not in [cell.row for cell in cells]:
            hint = nearest(label, [cell.row for cell in cells]) if cells else "it has none"
            raise BenchError(
                f"experiment {name!r} has no row {label!r} from bench score or bench import; {hint}"
            )
        value["guests"] = [cell.to_json() for cell in cells if cell.row != label]
        write_text(path, json.dumps(value, indent=1) + "\n")


def _content(path: Path) -> dict[str, Any] | None:
    """Return the content of the list of an experiment's cells; None where there is no list.

    Raises
    ------
    BenchError
        The file is there and cannot be read.
    """
    value = read_json(path)
    if value is None and path.exists():
        raise BenchError(
            f"{path} is damaged or cannot be read, and it may hold external scores; repair it, or "
            "remove it, run the experiment and add them again by bench score or bench import"
        )
    return value


def _external_cells(path: Path, value: Mapping[str, Any] | None) -> list[Cell]:
    """Return the cells of external scores in the list of an experiment.

    Parameters
    ----------
    path
        File of the list.
    value
        Its content; None where it is missing.

    Raises
    ------
    BenchError
        They are damaged.
    """
    try:
        # The file's word for external scores.
        external_cells = [Cell.from_json(cell) for cell in (value or {}).get("guests", [])]
        for cell in external_cells:
            external_entry(cell)  # refuses a label that no row can have
        return external_cells
    except (TypeError, ValueError):
        raise BenchError(
            f"{path}: the external scores in it are damaged; remove the file, run the experiment "
            "and add them again by bench score or bench import"
        ) from None


def load_manifest(runs: Path, name: str) -> Manifest:
    """Return the list of an experiment's cells.

    Raises
    ------
    BenchError
        The experiment was never run here, its list is damaged, or the method of a cell cannot be
        imported and an earlier release wrote the list.
    """
    path = manifest_path(runs, name)
    value = _content(path)
    if value is None:
        raise BenchError(
            f"nothing is tracked of an experiment {name!r} in {runs}; "
            f"run it first: bench run experiments/{name}.yaml"
        )
    external_cells = _external_cells(path, value)
    try:
        record = ExperimentRecord.model_validate(value)
        cells = [Cell.from_json(cell) for cell in value["cells"]]
        identities = value.get("identities") or [None] * len(cells)
        pairs = list(zip(cells, identities, strict=True))
        external = [_as_scored_now(cell, cells) for cell in external_cells]
        experiment = Experiment.model_validate(value["experiment"])
        corpus = value["corpus"]
        Corpus.model_validate(corpus)
        # Whether audio may be passed on is the corpus's own word, not that of a file.
        may_share = shares_audio(experiment.dataset)
        corpus["shares_audio"] = may_share and corpus.get("shares_audio", False)
    except (KeyError, TypeError, ValueError):
        raise BenchError(f"{path} is damaged; the same bench run writes it anew") from None
    labels = {label for entry in experiment.methods for label, _ in entry.variants()}
    entries = [external_entry(cell) for cell in external if cell.row not in labels]
    experiment = experiment.model_copy(update={"methods": [*experiment.methods, *entries]})
    planned = [_findable(cell, identity) for cell, identity in pairs]
    return Manifest(runs, experiment, corpus, [*planned, *external], record.overrides, record.file)


def _findable(cell: Cell, identity: Mapping[str, str] | None) -> Cell:
    """Return a planned cell whose files can be found here.

    Parameters
    ----------
    cell
        The cell.
    identity
        Its recorded identity, which counts where its method cannot be imported; None where an
        earlier release recorded none.

    Raises
    ------
    BenchError
        The method cannot be imported, and no identity was recorded.
    """
    try:
        registry.find_method(cell.method)
    except BenchError as error:
        if identity is None:
            raise BenchError(f"the scores of row {cell.row!r} cannot be found: {error}") from None
        return cell.identified(identity)
    return cell


def _as_scored_now(cell: Cell, cells: Sequence[Cell]) -> Cell:
    """Return a cell of external scores as the present corpus and protocols would score it.

    Scores of an earlier version of a protocol, or of estimates against an earlier test split, are
    not those of the cell that is returned, so that its row is missing until it is scored again.
    """
    if not cells:
        return cell
    protocols = {n: cells[0].protocols.get(n, version) for n, version in cell.protocols.items()}
    digests = dict(cell.digests)
    if cell.method == MADE_ELSEWHERE:
        digests["test"] = cells[0].digests["test"]
    return dataclasses.replace(cell, protocols=protocols, digests=digests)


def load_results(runs: Path, name: str) -> Results:
    """Return the outcome of each cell of an experiment.

    Raises
    ------
    BenchError
        The experiment was never run here, or its list is damaged.
    """
    return load_manifest(runs, name).results()


def external_entry(cell: Cell) -> MethodEntry:
    """Return the entry of an experiment that represents external scores."""
    digest = str(cell.hyperparameters.get("estimates", ""))[:12]
    note = f"made elsewhere, scored from files (SHA-256 {digest}…)."
    note = str(cell.hyperparameters.get("note", note))  # imported scores bring their own
    return MethodEntry(method=cell.method, label=cell.row, note=note)


def manifest_path(runs: Path, name: str) -> Path:
    """Return the file that holds the list of an experiment's cells."""
    return runs / "experiments" / f"{name}.json"
