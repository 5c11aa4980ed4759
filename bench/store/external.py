"""Estimates that were made elsewhere: scored from files, a row like any other.

A cell of the method ``elsewhere`` stands for them. Its one hyperparameter is the digest of the
files, so that other files are another cell. As a guest of an experiment it appears in its tables
and MLflow runs beside the methods that were run here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench import provenance
from bench.datasets import DATASETS, folder, open_dataset
from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.scoring.protocols import Prepared, protocol, score
from bench.store.cell_folder import CellFolder
from bench.store.results import Results, guest_entry
from bench.track import Track

METHOD = "elsewhere"


@dataclass(frozen=True)
class References:
    """What estimates are scored against.

    Attributes
    ----------
    dataset
        Name of the corpus, or ``folder``.
    title, citation, licence
        For the report.
    digest
        SHA-256 of names and contents.
    names
        Of the tracks.
    n_full
        Tracks of the complete split.
    load
        From a name to a track.
    """

    dataset: str
    title: str
    citation: str
    licence: str
    digest: str
    names: Sequence[str]
    n_full: int
    load: Callable[[str], Track]


def references(source: str, data: Path) -> References:
    """Return the references in a folder, or the test split of a corpus by its name.

    Raises
    ------
    BenchError
        There is no such folder or corpus, or it is empty or damaged.
    """
    if source in DATASETS and not Path(source).is_dir():
        corpus = open_dataset(source, data)
        names = corpus.names("test")
        return References(
            source, corpus.TITLE, corpus.CITATION, corpus.LICENCE, corpus.digest("test"),
            names, corpus.FULL_SIZES.get("test", len(names)),
            lambda name: corpus.load("test", name),
        )  # fmt: skip
    root = Path(source)
    if not root.is_dir():
        raise BenchError(
            f"no references {source!r}: expected a folder of tracks or one of {', '.join(DATASETS)}"
        )
    names = folder.track_names(root)
    return References(
        "folder", f"references in {root.name}", "not stated.", "not stated",
        folder.digest(root, names), names, len(names), lambda name: folder.load_track(root, name),
    )  # fmt: skip


def cell(label: str, truth: References, estimates: Path, protocols: Sequence[str]) -> Cell:
    """Return the cell of the estimates in a folder.

    Raises
    ------
    BenchError
        A protocol is unknown, or an estimate of a track is missing.
    """
    versions = {name: protocol(name).version for name in protocols}
    return Cell(
        row=label,
        method=METHOD,
        group=METHOD,
        version=1,
        hyperparameters={"estimates": folder.digest(estimates, list(truth.names))},
        seed=None,
        dataset=truth.dataset,
        digests={"test": truth.digest},
        protocols=versions,
    )


def run(
    own: CellFolder, truth: References, estimates: Path, tell: Callable[[int, int], None]
) -> None:
    """Score the estimates of every track, and keep the scores when all are there.

    Raises
    ------
    BenchError
        A track or an estimate cannot be read or scored.
    """
    rows: dict[str, list[pd.DataFrame]] = {name: [] for name in own.cell.protocols}
    audio_s = 0.0
    for done, name in enumerate(truth.names):
        tell(done, len(truth.names))
        track = truth.load(name)
        found = folder.load_estimates(estimates, track)
        references = Prepared(track)
        for protocol_name, frames in rows.items():
            frames.append(pd.DataFrame(score(protocol_name, track, found, references)))
        audio_s += track.duration_s
    facts = {
        "fit": {},
        "separate_s": None,
        "audio_s": audio_s,
        "n_tracks": len(truth.names),
        "provenance": provenance.capture("cpu"),
    }
    own.begin()
    for protocol_name, frames in rows.items():
        own.write_scores(protocol_name, pd.concat(frames, ignore_index=True), facts)
    own.write_state("done")


def alone(own: CellFolder, truth: References, name: str) -> Results:
    """Return results that hold these estimates only, to report and record as an experiment."""
    experiment = Experiment(
        name=name,
        title=f"Scores of {own.cell.row}",
        why="Estimates that were made elsewhere, scored from files.",
        dataset=truth.dataset,
        protocols=list(own.cell.protocols),
        methods=[guest_entry(own.cell)],
    )
    corpus = {
        "title": truth.title,
        "citation": truth.citation,
        "licence": truth.licence,
        "n_test": len(truth.names),
        "n_full": truth.n_full,
    }
    return Results(experiment, corpus, [own.cell], [own])


def check_guest(host: Results, guest: Cell) -> None:
    """Refuse a guest that was not scored on the tracks of an experiment by its protocols.

    Raises
    ------
    BenchError
        Another corpus, other references, a protocol that is missing, or a label that is taken.
    """
    name = host.experiment.name
    mine = {cell.digests["test"] for cell in host.cells}
    if guest.dataset != host.experiment.dataset or guest.digests["test"] not in mine:
        raise BenchError(
            f"experiment {name!r} is scored on the test split of {host.experiment.dataset!r}; "
            f"score against it: bench score {host.experiment.dataset} ESTIMATES --into {name}"
        )
    missing = [p for p in host.experiment.protocols if p not in guest.protocols]
    if missing:
        raise BenchError(f"experiment {name!r} is scored by {', '.join(missing)} too: add it")
    taken = [cell.row for cell in host.cells if cell.method != METHOD]
    if guest.row in taken:
        raise BenchError(f"experiment {name!r} has a row {guest.row!r} already; choose another")
