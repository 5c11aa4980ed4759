"""Finished cells of a report taken into a working directory, so that they are not computed again.

A report holds every score of its cells, to the last bit, and how each was made. An experiment that
shares cells with it, as one that adds a row to a published table, or one that goes on on another
machine, needs no more than that. A report holds no trained model, no estimates and no clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.report.committed import load_committed, load_provenance
from bench.scoring.aggregate import over_seeds, over_tracks
from bench.store.cell_folder import CellFolder
from bench.store.claim import claimed
from bench.store.results import Outcome, Results


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
        The folder holds no report, or its numbers are not those of its scores.
    """
    results, report_facts = load_committed(report), load_provenance(report).get("report", {})
    _check_numbers(report, results)
    recorded = {outcome.cell.fingerprint: outcome for outcome in results.outcomes}
    source = {"report": report.resolve().name, "commit": report_facts.get("commit", "")}
    taken: set[str] = set()
    for cell in cells:
        outcome, folder = recorded.get(cell.fingerprint), CellFolder(runs, cell)
        if outcome is None or outcome.status != "done" or folder.is_done():
            continue
        if not all(_has_scores(outcome, cell, protocol) for protocol in cell.protocols):
            continue
        if not write:
            taken.add(cell.fingerprint)
            continue
        with claimed(folder.path) as claim:
            if claim is None:  # another process computes it right now
                continue
            folder.begin()
            for protocol in cell.protocols:
                facts = {k: v for k, v in outcome.facts[protocol].items() if k != "sha256"}
                scores = outcome.scores[protocol].to_pandas()
                folder.write_scores(protocol, scores, {"taken_from": source, **facts})
            taken.add(cell.fingerprint)
    return taken


def _check_numbers(report: Path, results: Results) -> None:
    """Refuse a report whose ``rows.csv`` holds other values or numbers of tracks than its scores.

    So scores that were cut or changed after the report was written are not taken.
    """
    keys = ["row", "target", "protocol", "metric"]
    path = report / "rows.csv"
    try:
        rows = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(keys, str))
        rows = rows[rows["status"].isin(["done", "undefined", "infinite"])].set_index(keys)
        written = rows["value"].replace("", "nan").astype(float)
        n_written = rows["n_tracks"].astype(int)
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"{path} cannot be read: {error}") from None
    seeds = over_tracks(results.scores, ["row", "seed"]).astype(dict.fromkeys(keys, str))
    of_rows = seeds.groupby(keys)
    means = of_rows["value"].agg(lambda values: over_seeds(values.to_list()).mean)
    values, n_tracks = means.reindex(written.index), of_rows["n_tracks"].min()
    is_same = np.isclose(values, written, rtol=0, atol=1e-6, equal_nan=True)
    is_same &= n_tracks.reindex(written.index).to_numpy() == n_written.to_numpy()
    if not is_same.all():
        row, target, _, metric = written.index[int(np.argmin(is_same))]
        raise BenchError(
            f"{report}: {metric} of the {target} of {row!r} in rows.csv is not what scores.parquet "
            "gives; nothing is taken from it"
        )


def _has_scores(outcome: Outcome, cell: Cell, protocol: str) -> bool:
    """Tell whether a report's outcome holds the scores of a cell under a protocol."""
    return (
        protocol in outcome.scores
        and protocol in outcome.cell.protocols
        and outcome.cell.score_key(protocol) == cell.score_key(protocol)
    )
