"""Scores from elsewhere, as a row like any other: estimates scored from files, imported scores.

A cell of the method ``elsewhere`` represents estimates of a system that did not run here, scored
here. Its one hyperparameter is the digest of their files, so that other files are another cell. A
cell of the method ``imported`` represents scores that museval computed elsewhere. It was not scored
here, so tables set it apart and never rank it; its tracks are paired with ours by their names.
Either becomes a row in the tables and MLflow runs of an experiment, or an experiment of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench import provenance
from bench.datasets import folder
from bench.datasets.references import ReferenceTracks
from bench.errors import BenchError, check_text
from bench.plan.cells import IMPORTED, MADE_ELSEWHERE, Cell
from bench.plan.experiment import Experiment
from bench.scoring import museval_json
from bench.scoring.prepared import Prepared
from bench.scoring.protocols import Museval, protocol, score_track, scores_pitch
from bench.store.cell_folder import CellFolder
from bench.store.claim import claimed
from bench.store.files import refuse_link
from bench.store.listening import read_clips, write_estimates
from bench.store.manifest import Manifest, add_external, external_entry, load_manifest
from bench.store.owner import NO_FILE, check_scores
from bench.store.workspace import Workspace

_MUSEVAL = museval_json.PROTOCOL
#: Largest difference in samples between the lengths of an estimate and its reference that needs no
#: consent.
FEW_SAMPLES = 8


@dataclass(frozen=True)
class ExternalRow:
    """External scores that are kept, and where they appear.

    Attributes
    ----------
    folder
        The folder of their cell.
    manifest
        The experiment that they were added to, or one of their own.
    """

    folder: CellFolder
    manifest: Manifest


def score_estimates(
    workspace: Workspace,
    references: ReferenceTracks,
    estimates: Path,
    protocols: Sequence[str],
    label: str,
    into: str | None,
    report_progress: Callable[[int, int], None],
    any_length: bool = False,
) -> ExternalRow:
    """Score the estimates of every track in a folder, unless that was done before.

    Parameters
    ----------
    workspace
        The working directory.
    references
        The tracks to score against.
    estimates
        A folder of ``<track>/{vocals,accompaniment}.wav``, or FLAC.
    protocols
        Names of the scoring protocols.
    label
        Name of the row.
    into
        Name of the experiment to add it to; None for one of its own.
    report_progress
        Called before each track with the numbers of tracks that are done and in all.
    any_length
        Whether estimates may differ in length from their references by more than `FEW_SAMPLES`;
        the row then says how many do.

    Raises
    ------
    BenchError
        A protocol is unknown; a track or an estimate is missing, of another length, or cannot be
        scored; the name belongs to another report; the report's folder is a link; or the
        experiment is of other tracks or protocols, or has another row of that label.
    """
    digest = folder.digest(estimates, list(references.names))
    values = {"estimates": digest, **_check_lengths(references, estimates, any_length)}
    cell = _cell(label, MADE_ELSEWHERE, values, references.dataset, references.digest, protocols)
    if into is not None:
        manifest = load_manifest(workspace.runs, into)
        _check_references(manifest, cell)
        _check_label(manifest, cell)
    _check_report(workspace, cell, into)
    cell_folder = CellFolder(workspace.runs, cell)
    if not cell_folder.is_done():
        scores, audio_s = _score(cell_folder, references, estimates, report_progress)
        _keep(cell_folder, scores, audio_s, len(references.names))
    if into is not None:
        return _added(cell_folder, into)
    corpus = {
        "title": references.title,
        "citation": references.citation,
        "licence": references.licence,
        "n_test": len(references.names),
        "n_full": references.n_full,
        "groups": dict(references.groups),
    }
    why = "Estimates that were made elsewhere, scored from files."
    return _own_experiment(cell_folder, why, corpus)


def import_museval(workspace: Workspace, files: Path, label: str, into: str | None) -> ExternalRow:
    """Keep the scores in museval's files as those of a cell.

    Parameters
    ----------
    workspace, label, into
        As for `score_estimates`.
    files
        A folder of ``test/<track>.json``.

    Raises
    ------
    BenchError
        The folder holds no files of museval; the report's folder is a link; or the experiment is
        not scored by ``museval``, shares no track, or has another row of that label.
    """
    scores = pd.DataFrame(museval_json.read_museval(files))
    text = json.dumps(scores.to_dict("records"), sort_keys=True)  # NaN is a value here
    names = sorted(scores["track"].unique())
    lengths_s = scores.groupby("track")["n_samples"].first() / Museval.WINDOW
    note = (
        f"imported from museval's files, not scored here: {len(names)} track(s) of "
        f"{lengths_s.min():.0f} to {lengths_s.max():.0f} s."
    )
    values = {"scores": hashlib.sha256(text.encode()).hexdigest(), "note": note}
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    cell = _cell(label, IMPORTED, values, IMPORTED, digest, [_MUSEVAL])
    if into is not None:
        cell = _paired(load_manifest(workspace.runs, into), cell, scores)
    _check_report(workspace, cell, into)
    cell_folder = CellFolder(workspace.runs, cell)
    if not cell_folder.is_done():
        _keep(cell_folder, {_MUSEVAL: scores}, float(lengths_s.sum()), len(names))
    if into is not None:
        return _added(cell_folder, into)
    corpus = {
        "title": "tracks of the imported files",
        "citation": "not stated.",
        "licence": "not stated",
        "n_test": len(names),
        "n_full": len(names),
    }
    why = "Scores that were computed elsewhere, read from museval's files."
    return _own_experiment(cell_folder, why, corpus)


def _cell(
    label: str,
    method: str,
    values: Mapping[str, Any],
    dataset: str,
    digest: str,
    protocols: Sequence[str],
) -> Cell:
    """Return a cell of external scores on a test split of this digest.

    Raises
    ------
    BenchError
        The label is empty or has control characters, or a protocol scores what no audio file
        holds.
    """
    check_text("the row's name", label)
    if not label.strip():
        raise BenchError("the row's name is empty; give it one by --as")
    for name in filter(scores_pitch, protocols):
        raise BenchError(
            f"{name} scores the pitch that a method follows, and files hold audio alone"
        )
    versions = {name: protocol(name).version for name in protocols}
    return Cell(label, method, method, 1, values, None, dataset, {"test": digest}, versions)


def _check_report(workspace: Workspace, cell: Cell, into: str | None) -> None:
    """Refuse to replace a report of other scores, or to write through a link."""
    if into is None:
        check_scores(workspace, _own_name(cell), cell)
    refuse_link(workspace.reports / (into or _own_name(cell)))


def _check_label(manifest: Manifest, cell: Cell) -> None:
    """Refuse a label that a row of another method has."""
    if cell.row in [other.row for other in manifest.cells if other.method != cell.method]:
        name = manifest.experiment.name
        raise BenchError(f"experiment {name!r} has a row {cell.row!r} already; choose another")


def _check_references(manifest: Manifest, cell: Cell) -> None:
    """Refuse a cell that was not scored on the tracks of an experiment by its protocols.

    Those that score pitch are left out, since no file of audio holds it.
    """
    experiment = manifest.experiment
    name, digests = experiment.name, {other.digests["test"] for other in manifest.cells}
    if cell.dataset != experiment.dataset or cell.digests["test"] not in digests:
        raise BenchError(
            f"experiment {name!r} is scored on the test split of {experiment.dataset!r}; "
            f"score against it: bench score {experiment.dataset} ESTIMATES --into {name}"
        )
    missing = [
        protocol
        for protocol in experiment.protocols
        if protocol not in cell.protocols and not scores_pitch(protocol)
    ]
    if missing:
        raise BenchError(
            f"experiment {name!r} is scored by {', '.join(missing)} too; add "
            f"--protocol {' --protocol '.join(missing)}"
        )


def _paired(manifest: Manifest, cell: Cell, imported: pd.DataFrame) -> Cell:
    """Return a cell of imported scores as one of an experiment, with a note on how tracks pair."""
    name = manifest.experiment.name
    if _MUSEVAL not in manifest.experiment.protocols:
        raise BenchError(
            f"experiment {name!r} is not scored by {_MUSEVAL}, as these are: add it to its "
            "protocols and run it again; nothing is trained again"
        )
    _check_label(manifest, cell)
    scores = manifest.results().scores
    scores = scores[(scores["protocol"] == _MUSEVAL) & (scores["method"] != IMPORTED)]
    n_windows = scores.groupby("track", observed=True)["window"].max()
    n_imported = imported.groupby("track")["window"].max()
    common = [track for track in n_imported.index if track in n_windows.index]
    if not common:
        track = min(n_imported.index)
        raise BenchError(f"experiment {name!r} has none of the imported tracks, such as {track!r}")
    remark = f" {len(common)} of {len(n_windows)} tracks are ours by name."
    n_others = sum(n_windows[track] != n_imported[track] for track in common)
    if n_others:
        remark += f" {n_others} of them are of another length here: not the same audio."
    values = {**cell.hyperparameters, "note": f"{cell.hyperparameters['note']}{remark}"}
    return dataclasses.replace(cell, dataset=manifest.experiment.dataset, hyperparameters=values)


def _check_lengths(
    references: ReferenceTracks, estimates: Path, any_length: bool
) -> dict[str, str]:
    """Return a note on estimates of another length, as hyperparameters; none where none has.

    Raises
    ------
    BenchError
        An estimate is longer or shorter than its reference by more than `FEW_SAMPLES`, and that is
        not allowed.
    """
    n_others = 0
    for name in references.names:
        track = references.load(name)
        differences = folder.length_differences(estimates, track)
        for target, difference in differences.items():
            if abs(difference) > FEW_SAMPLES and not any_length:
                word = "longer" if difference > 0 else "shorter"
                raise BenchError(
                    f"the estimate of {target} in {estimates / name} is "
                    f"{abs(difference) / track.rate:.3g} s {word} than its reference of "
                    f"{track.duration_s:.3g} s; --any-length fills or cuts it"
                )
        n_others += any(abs(difference) > FEW_SAMPLES for difference in differences.values())
    if not n_others:
        return {}
    note = (
        f"made elsewhere, scored from files; {n_others} of {len(references.names)} tracks have "
        "estimates of another length, which were filled with zeros or cut."
    )
    return {"note": note}


def _score(
    cell_folder: CellFolder,
    references: ReferenceTracks,
    estimates: Path,
    report_progress: Callable[[int, int], None],
) -> tuple[dict[str, pd.DataFrame], float]:
    """Return the scores of all tracks by protocol, and the length of the audio in seconds.

    Clips to listen to are written on the way, where they were chosen for these references.
    """
    protocols = cell_folder.cell.protocols
    clips = read_clips(cell_folder.path.parent, references.digest)
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in protocols}
    audio_s = 0.0
    for n_done, name in enumerate(references.names):
        report_progress(n_done, len(references.names))
        track = references.load(name)
        audio, prepared = folder.load_estimates(estimates, track), Prepared(track)
        for protocol_name, tracks in frames.items():
            tracks.append(pd.DataFrame(score_track(protocol_name, track, audio, prepared)))
        write_estimates(cell_folder, clips, track, audio)
        audio_s += track.duration_s
    return {name: pd.concat(tracks, ignore_index=True) for name, tracks in frames.items()}, audio_s


def _keep(
    cell_folder: CellFolder, scores: Mapping[str, pd.DataFrame], audio_s: float, n_tracks: int
) -> None:
    """Write external scores into the folder of their cell.

    Raises
    ------
    BenchError
        Another process writes them now.
    """
    facts = {
        "fit": {},
        "separate_s": None,
        "audio_s": audio_s,
        "n_tracks": n_tracks,
        "provenance": provenance.capture("cpu"),
    }
    with claimed(cell_folder.path) as claim:
        if claim is None:
            raise BenchError(f"another process writes {cell_folder.path} now; run this again")
        cell_folder.begin()
        for protocol_name, frame in scores.items():
            cell_folder.write_scores(protocol_name, frame, facts)
        cell_folder.write_state("done")


def _added(cell_folder: CellFolder, name: str) -> ExternalRow:
    """Add external scores to an experiment and return them."""
    runs = cell_folder.path.parent
    add_external(runs, name, cell_folder.cell)
    return ExternalRow(cell_folder, load_manifest(runs, name))


def _own_experiment(cell_folder: CellFolder, why: str, corpus: dict[str, Any]) -> ExternalRow:
    """Return external scores as an experiment that holds nothing else, named after their label."""
    cell = cell_folder.cell
    experiment = Experiment(
        name=_own_name(cell),
        title=f"Scores of {cell.row}",
        why=why,
        dataset=cell.dataset,
        protocols=list(cell.protocols),
        methods=[external_entry(cell)],
    )
    return ExternalRow(
        cell_folder, Manifest(cell_folder.path.parent, experiment, corpus, [cell], file=NO_FILE)
    )


def _own_name(cell: Cell) -> str:
    """Return the name of the experiment that holds external scores alone."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", cell.row)
    return name.lstrip("_-.").rstrip("-.") or "scores"  # a name begins with a letter or digit
