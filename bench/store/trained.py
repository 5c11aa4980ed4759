"""What a cell has learnt, read back from the folder that holds its training."""

from __future__ import annotations

from bench.methods import registry
from bench.methods.separator import Separator
from bench.store.cell_folder import CellFolder


def training_folder(folder: CellFolder) -> CellFolder:
    """Return the folder that holds the training of a cell: its own, or that of another cell.

    Cells that differ in nothing but `Separator.AFTER_TRAINING` share one training.
    """
    training_cell = folder.cell.training_cell
    if training_cell is folder.cell:
        return folder
    return CellFolder(folder.path.parent, training_cell)


def load_method(folder: CellFolder) -> Separator:
    """Return the method of a cell that is trained, or that learns nothing.

    Raises
    ------
    BenchError
        The folder of its training holds no trained method, or one of another version.
    """
    cell = folder.cell
    if not cell.learns:
        return cell.build()
    cls = registry.find(cell.method)
    after_training = {name: cell.hyperparameters[name] for name in cls.AFTER_TRAINING}
    return cls.load(training_folder(folder).fit_folder, **after_training)
