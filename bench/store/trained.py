"""Methods of cells, with what they have learnt read back from the folder of the training."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.methods import registry
from bench.methods.saved import load_saved
from bench.methods.separator import Separator
from bench.plan.cells import Cell
from bench.store.cell_folder import CellFolder
from bench.store.files import read_json


def training_folder(folder: CellFolder) -> CellFolder:
    """Return the folder that holds the training of a cell: its own, or that of another cell.

    Cells that differ in nothing but `Separator.AFTER_TRAINING` share one training.
    """
    training_cell = folder.cell.training_cell
    if training_cell is folder.cell:
        return folder
    return CellFolder(folder.path.parent, training_cell)


def member_folders(folder: CellFolder) -> list[CellFolder]:
    """Return the folders that hold the trainings of an ensemble's members; none for other cells."""
    return [CellFolder(folder.path.parent, cell) for cell in folder.cell.member_cells]


def load_method(folder: CellFolder) -> Separator:
    """Return the method of a cell that is trained, or that learns nothing.

    Raises
    ------
    BenchError
        What the cell has learnt is not here whole, or belongs to another version of the method.
    """
    cell = folder.cell
    if not cell.learns:
        return cell.build()
    trained = training_folder(folder)
    if not trained.is_fitted():
        raise BenchError(
            f"{cell.name} is not trained here: {trained.fit_folder} is not there whole"
        )
    # A field that joined the method after this cell keeps its default.
    names = registry.find_method(cell.method).AFTER_TRAINING & cell.hyperparameters.keys()
    after_training = {name: cell.hyperparameters[name] for name in names}
    return load_saved(trained.fit_folder, **after_training)


def cell_folder_at(path: Path) -> CellFolder:
    """Return the cell folder at a path in ``runs/``.

    Raises
    ------
    BenchError
        The ``cell.json`` in the folder is damaged.
    """
    try:
        return CellFolder(path.parent, Cell.from_json(read_json(path / "cell.json") or {}))
    except ValueError:
        raise BenchError(f"{path / 'cell.json'} is damaged") from None
