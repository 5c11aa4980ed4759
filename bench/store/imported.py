"""Scores that were computed elsewhere: read from museval's files, a row beside ours.

A cell of the method ``imported`` stands for them. Nothing of it was scored here, so tables set it
apart and never rank it; its tracks bear the names of ours, so that it is paired with them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pandas as pd

from bench import provenance
from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment, MethodEntry
from bench.scoring import museval_json
from bench.scoring.museval_json import PROTOCOL
from bench.scoring.protocols import Museval, protocol
from bench.store.cell_folder import CellFolder
from bench.store.results import Results

METHOD = "imported"


def read(folder: Path, label: str) -> tuple[Cell, pd.DataFrame]:
    """Return the cell of the scores in a folder, and the scores.

    Raises
    ------
    BenchError
        The folder holds no files of museval.
    """
    scores = pd.DataFrame(museval_json.read(folder))
    text = json.dumps(scores.to_dict("records"), sort_keys=True)  # NaN is a value here
    digest = hashlib.sha256(text.encode()).hexdigest()
    names = "\n".join(sorted(scores["track"].unique()))
    cell = Cell(
        row=label,
        method=METHOD,
        group=METHOD,
        version=1,
        hyperparameters={"scores": digest, "note": note(scores)},
        seed=None,
        dataset=METHOD,
        digests={"test": hashlib.sha256(names.encode()).hexdigest()},
        protocols={PROTOCOL: protocol(PROTOCOL).version},
    )
    return cell, scores


def note(scores: pd.DataFrame) -> str:
    """Return what stands under a table of imported scores."""
    seconds = scores.groupby("track")["n_samples"].first() / Museval.WINDOW
    return (
        f"imported from museval's files, not scored here: {len(seconds)} track(s) of "
        f"{seconds.min():.0f} to {seconds.max():.0f} s."
    )


def as_guest(host: Results, cell: Cell, scores: pd.DataFrame) -> Cell:
    """Return the cell as a guest of an experiment, what sets its tracks apart in its note.

    Raises
    ------
    BenchError
        The experiment is not scored by ``museval``, shares no track, or has a row of that label.
    """
    name = host.experiment.name
    if PROTOCOL not in host.experiment.protocols:
        raise BenchError(
            f"experiment {name!r} is not scored by {PROTOCOL}, as these are: add it to its "
            "protocols and run it again; nothing is trained again"
        )
    if cell.row in [own.row for own in host.cells if own.method != METHOD]:
        raise BenchError(f"experiment {name!r} has a row {cell.row!r} already; choose another")
    ours = host.scores()
    ours = ours[(ours["protocol"] == PROTOCOL) & (ours["method"] != METHOD)]
    windows = [s.groupby("track")["window"].max() for s in (ours, scores)]
    common = windows[0].index.intersection(windows[1].index)
    if common.empty:
        one = min(windows[1].index)
        raise BenchError(f"experiment {name!r} has none of the imported tracks, such as {one!r}")
    others = int((windows[0][common] != windows[1][common]).sum())
    remark = f" {len(common)} of {len(windows[0])} tracks are ours by name."
    if others:
        remark += f" {others} of them are of another length here: not the same audio."
    values = {**cell.hyperparameters, "note": f"{cell.hyperparameters['note']}{remark}"}
    return dataclasses.replace(cell, dataset=host.experiment.dataset, hyperparameters=values)


def keep(own: CellFolder, scores: pd.DataFrame) -> None:
    """Keep imported scores as those of a cell."""
    facts = {
        "fit": {},
        "separate_s": None,
        "audio_s": float(scores.groupby("track")["n_samples"].first().sum()) / Museval.WINDOW,
        "n_tracks": int(scores["track"].nunique()),
        "provenance": provenance.capture("cpu"),
    }
    own.begin()
    own.write_scores(PROTOCOL, scores, facts)
    own.write_state("done")


def alone(own: CellFolder, name: str) -> Results:
    """Return results that hold these scores only, to report and record as an experiment."""
    cell = own.cell
    n_tracks = own.score_facts(PROTOCOL)["n_tracks"]
    experiment = Experiment(
        name=name,
        title=f"Scores of {cell.row}",
        why="Scores that were computed elsewhere, read from museval's files.",
        dataset=METHOD,
        protocols=[PROTOCOL],
        methods=[
            MethodEntry(method=METHOD, label=cell.row, note=str(cell.hyperparameters["note"]))
        ],
    )
    corpus = {
        "title": "tracks of the imported files",
        "citation": "not stated.",
        "licence": "not stated",
        "n_test": n_tracks,
        "n_full": n_tracks,
    }
    return Results(experiment, corpus, [cell], [own])
