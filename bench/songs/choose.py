"""The method for a song where none is named: a trained run, or HPSS.

A trained run is judged by its lead: the median over the test tracks of its voice's NSDR (SDR under
another protocol) less that of the best method without training that was scored in the same working
directory on the same tracks under the same protocol; the least lead where there are several. So
decibels of different corpora or metrics are not compared, leads are. A network beside which no
method without training was scored is taken where no run has a lead. A network that was trained on
the synthetic corpus has heard no singer and is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.methods import registry
from bench.store.cell_folder import CellFolder
from bench.store.files import read_json
from bench.store.manifest import Manifest, load_manifest
from bench.store.trained import training_folder
from bench.store.workspace import Workspace
from bench.training.network_separator import NetworkSeparator

#: The best of the methods without training on training songs held out: 7.5 dB of GNSDR in
#: `reports/select_hpss`, 6.8 in `reports/select_rpcah`, 5.0 in `reports/select_repetition`.
WITHOUT_TRAINING = "hpss"
#: Rates in hertz at which networks are trained, and the experiment that does so.
_TRAINING_EXPERIMENTS = (
    (16_000, "experiments/paper_table3.yaml"),
    (44_100, "experiments/musdb18.yaml"),
)

#: What medians can be compared within: corpus, digest of its test split, protocol, and metric.
_Scale = tuple[str, str, str, str]


@dataclass(frozen=True)
class TrainedRun:
    """A finished cell whose method was trained here and can be used.

    Attributes
    ----------
    experiment, folder
        The experiment's name and the cell's folder.
    rate
        Sampling rate of the training in hertz.
    ended
        When the training ended, in seconds since 1970.
    lead
        See the module; in dB, None where no method without training was scored beside it.
    title, licence
        Title and licence of the corpus.
    """

    experiment: str
    folder: CellFolder
    rate: int
    ended: float
    lead: float | None
    title: str
    licence: str

    @property
    def text(self) -> str:
        """The run in words."""
        name, path = self.folder.cell.name, self.folder.path
        return f"{path} ({name} of experiment {self.experiment}, {self.title}, {self.rate} Hz)"

    @property
    def may_be_chosen(self) -> bool:
        """Whether it may be chosen for a song."""
        if self.folder.cell.dataset == "synthetic":
            return False
        if self.lead is not None:
            return self.lead > 0
        return issubclass(registry.find_method(self.folder.cell.method), NetworkSeparator)


def trained_runs(workspace: Workspace, method: str | None = None) -> list[TrainedRun]:
    """Return the trained runs of a workspace, or those of one method, in the order of their leads.

    Runs without a lead come last, the latest first. A run whose weights are gone or damaged, or
    whose method has another version now, is left out.
    """
    scored = [
        (manifest, folder, medians)
        for manifest in _manifests(workspace)
        for folder in manifest.folders
        if (medians := _medians(folder))
    ]
    best_untrained: dict[_Scale, float] = {}
    for _, folder, medians in scored:
        if folder.cell.group == "unsupervised" and not folder.cell.learns:
            for scale, median in medians.items():
                best_untrained[scale] = max(median, best_untrained.get(scale, -np.inf))
    runs: dict[Path, TrainedRun] = {}
    for manifest, folder, medians in scored:
        if not folder.cell.learns or method not in (None, folder.cell.method):
            continue
        run = _trained_run(manifest, folder, medians, best_untrained)
        if run is not None and _leads_less(run, runs.get(folder.path)):
            runs[folder.path] = run
    return sorted(runs.values(), key=_sort_key, reverse=True)


def _leads_less(run: TrainedRun, other: TrainedRun | None) -> bool:
    """Return whether a run replaces that of another experiment: its lead is known, and smaller."""
    if other is None or other.lead is None:
        return True
    return run.lead is not None and run.lead < other.lead


def _sort_key(run: TrainedRun) -> tuple[bool, float]:
    """Return what runs are ordered by: the lead where it is known, else the time."""
    return (False, run.ended) if run.lead is None else (True, run.lead)


def _manifests(workspace: Workspace) -> Iterator[Manifest]:
    """Yield the list of cells of each experiment; a damaged one is left out."""
    for path in sorted((workspace.runs / "experiments").glob("*.json")):
        try:
            yield load_manifest(workspace.runs, path.stem)
        except BenchError:
            continue


def _trained_run(
    manifest: Manifest,
    folder: CellFolder,
    medians: Mapping[_Scale, float],
    best_untrained: Mapping[_Scale, float],
) -> TrainedRun | None:
    """Return a trained run; None where it cannot be used any more."""
    try:
        version = registry.find_method(folder.cell.method).VERSION
        training = training_folder(folder)
    except BenchError:  # a method of a package that is gone, or a value refused by now
        return None
    if folder.cell.version != version or not training.is_fitted():
        return None
    saved = read_json(training.fit_folder / "separator.json") or {}
    rate = (saved.get("learned") or {}).get("rate_")
    if not isinstance(rate, int):
        return None
    leads = [medians[scale] - best for scale, best in best_untrained.items() if scale in medians]
    ended = (training.path / "fit.json").stat().st_mtime
    about = str(manifest.corpus.get("title", "")), str(manifest.corpus.get("licence", ""))
    return TrainedRun(
        manifest.experiment.name, folder, rate, ended, min(leads, default=None), *about
    )


def _medians(folder: CellFolder) -> dict[_Scale, float]:
    """Return the median of the voice's NSDR or SDR in dB under each protocol that is scored."""
    medians = {}
    for protocol in folder.cell.protocols:
        scores = folder.scores(protocol)
        if scores is None:
            continue
        voice = scores[scores["target"] == "vocals"]
        metric = "nsdr" if (voice["metric"] == "nsdr").any() else "sdr"
        values = voice.loc[voice["metric"] == metric, "value"].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        if values.size:
            scale = (folder.cell.dataset, folder.cell.digests["test"], protocol, metric)
            medians[scale] = float(np.median(values))
    return medians


def chosen_method(workspace: Workspace, rate: int) -> tuple[str, str]:
    """Return the name of the method for songs of a rate, and why it was chosen in a line.

    Parameters
    ----------
    workspace
        The working directory.
    rate
        Sampling rate of the songs in hertz. A run whose training had this rate or a higher one
        comes before the others, since a voice that is separated at a lower rate lacks what lies
        above half of it.
    """
    experiment_rate, experiment_file = next(
        (one for one in _TRAINING_EXPERIMENTS if rate <= one[0]), _TRAINING_EXPERIMENTS[-1]
    )
    runs = [run for run in trained_runs(workspace) if run.may_be_chosen]
    if not runs:
        return WITHOUT_TRAINING, (
            f"with {WITHOUT_TRAINING}, the best method without training on held-out songs: no "
            "network that was trained here on real singers has scored better. To train "
            f"networks: bench run {experiment_file}"
        )
    best = max(runs, key=lambda run: (min(run.rate, rate), _sort_key(run)))
    lead = (
        "no method without training was scored beside it"
        if best.lead is None
        else f"its voice is {best.lead:.2f} dB above that of the best method without training"
    )
    is_lower = best.rate < experiment_rate
    higher = f". To train at a higher rate: bench run {experiment_file}" if is_lower else ""
    return str(best.folder.path), (
        f"with {best.text}: {lead}; licence of what it learnt from: {best.licence}{higher}"
    )
