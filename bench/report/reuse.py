"""Finished cells of a report taken into a working directory, so that they are not computed again.

A report holds every score of its cells, to the last bit, and how each was made. An experiment that
shares cells with it, as one that adds a row to a published table, or one that goes on on another
machine, needs no more than that. What a cell has learnt, its estimates and its clips are not in a
report.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.plan.cells import Cell
from bench.report.committed import load_committed, load_provenance
from bench.store.cell_folder import CellFolder
from bench.store.results import Outcome


def take_cells(report: Path, cells: Sequence[Cell], runs: Path, *, write: bool = True) -> set[str]:
    """Write the scores of a report into the folders of cells that have none.

    Parameters
    ----------
    report
        Folder of the report.
    cells
        The cells of an experiment. One is taken where the report has a finished cell of the same
        fingerprint, so of the same method, version, hyperparameters, seed and training data, with
        scores of the same test tracks under each of its protocols, in the same version.
    runs
        The folder of all cells.
    write
        Whether anything is written.

    Returns
    -------
    set of str
        The fingerprints of the cells that were taken, or would be.

    Raises
    ------
    BenchError
        The folder holds no report, or it is damaged.
    """
    results, made = load_committed(report), load_provenance(report)["report"]
    recorded = {outcome.cell.fingerprint: outcome for outcome in results.outcomes}
    source = {"report": report.resolve().name, "commit": made.get("commit", "")}
    taken = set()
    for cell in cells:
        outcome, folder = recorded.get(cell.fingerprint), CellFolder(runs, cell)
        if outcome is None or outcome.status != "done" or folder.is_done():
            continue
        if not all(_has_scores(outcome, cell, protocol) for protocol in cell.protocols):
            continue
        taken.add(cell.fingerprint)
        if not write:
            continue
        folder.begin()
        for protocol in cell.protocols:
            facts = {k: v for k, v in outcome.facts[protocol].items() if k != "sha256"}
            scores = outcome.scores[protocol].to_pandas()
            folder.write_scores(protocol, scores, {"taken_from": source, **facts})
    return taken


def _has_scores(outcome: Outcome, cell: Cell, protocol: str) -> bool:
    """Tell whether a report's outcome holds the scores of a cell under a protocol."""
    return (
        protocol in outcome.scores
        and protocol in outcome.cell.protocols
        and outcome.cell.score_key(protocol) == cell.score_key(protocol)
    )
