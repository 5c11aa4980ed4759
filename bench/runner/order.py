"""The order in which cells begin: the longest first, so that none of them ends last alone."""

from __future__ import annotations

from collections.abc import Sequence

from bench.plan.cells import Cell
from bench.store.cell_folder import CellFolder
from bench.store.facts import spent_s
from bench.store.results import Outcome
from bench.store.trained import member_folders, training_folder


def longest_first(pending: Sequence[CellFolder], outcomes: Sequence[Outcome]) -> list[CellFolder]:
    """Return the pending cells, those that are expected to take longest first.

    The expected time of a cell is that of the finished cell of its method that shares most of its
    hyperparameters. A method without a finished cell may take long and comes first, one that learns
    before one that does not. A cell that needs the training of another pending cell comes last, so
    that no worker waits for that training.

    Parameters
    ----------
    pending
        Folders of the cells to run.
    outcomes
        Outcomes of all cells of the experiment, the finished ones among them.
    """
    finished = [
        (outcome.cell, _seconds(outcome)) for outcome in outcomes if outcome.status == "done"
    ]

    pending_paths = {folder.path for folder in pending}

    def key(folder: CellFolder) -> tuple[bool, float, bool]:
        cell = folder.cell
        similar = [
            (_n_shared(cell, other), seconds)
            for other, seconds in finished
            if other.method == cell.method
        ]
        expected = max(similar)[1] if similar else float("inf")
        training = training_folder(folder)
        needed = {training.path, *(member.path for member in member_folders(training))}
        needs_another = not (needed - {folder.path}).isdisjoint(pending_paths)
        return needs_another, -expected, not cell.learns

    return sorted(pending, key=key)


def _n_shared(cell: Cell, other: Cell) -> int:
    """Return how many hyperparameters two cells of a method share."""
    return sum(
        other.hyperparameters.get(name) == value for name, value in cell.hyperparameters.items()
    )


def _seconds(outcome: Outcome) -> float:
    """Return the time in seconds that a finished cell took, with its training."""
    return spent_s([outcome.facts[name] for name in outcome.cell.protocols])
