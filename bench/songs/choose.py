"""The method for a song where none is named: a trained run that is known to be better, or HPSS.

A trained run is judged by its lead: the median over the test tracks of its voice's NSDR (SDR under
another protocol) less that of the best method without training, scored in the same working
directory on the same tracks under the same protocol. Decibels of different corpora or metrics are
never compared; leads are. A network that was trained on the synthetic corpus has heard no singer
and is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
#: How to train a network, for music of rates up to 16 kHz and for others.
_RECIPES = ((16_000, "experiments/paper_table3.yaml"), (44_100, "experiments/musdb18.yaml"))

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
    median
        Median over the test tracks of the voice's NSDR, or of its SDR under another protocol, in
        dB.
    lead
        The median less that of the best method without training on the same tracks, in dB; None
        where no such method was scored on them.
    title, licence
        Title and licence of the corpus.
    """

    experiment: str
    folder: CellFolder
    rate: int
    median: float
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
        """Whether it separates voices better than methods without training, as far as is known.

        Where nothing was scored beside it, a network is taken at its word.
        """
        if self.folder.cell.dataset == "synthetic":
            return False
        if self.lead is not None:
            return self.lead > 0
        return issubclass(registry.find_method(self.folder.cell.method), NetworkSeparator)


def trained_runs(workspace: Workspace, method: str | None = None) -> list[TrainedRun]:
    """Return the trained runs of a workspace, or those of one method, in the order of their leads.

    Runs without a lead come last, in the order of their medians. A run whose weights are gone or
    damaged, or whose method has another version now, is left out.
    """
    manifests = list(_manifests(workspace))
    best_untrained: dict[_Scale, float] = {}
    for manifest in manifests:
        for folder in manifest.folders:
            cell = folder.cell
            if cell.group == "unsupervised" and not cell.learns and (read := _median(folder)):
                scale, median = read
                best_untrained[scale] = max(median, best_untrained.get(scale, -np.inf))
    runs: dict[str, TrainedRun] = {}
    for manifest in manifests:
        for folder in manifest.folders:
            if not folder.cell.learns or method not in (None, folder.cell.method):
                continue
            rate, read = _trained_rate(folder), _median(folder)
            if rate is None or read is None:
                continue
            scale, median = read
            lead = median - best_untrained[scale] if scale in best_untrained else None
            about = manifest.corpus.get("title", ""), manifest.corpus.get("licence", "")
            run = TrainedRun(manifest.experiment.name, folder, rate, median, lead, *about)
            runs[str(folder.path)] = run
    return sorted(runs.values(), key=_goodness, reverse=True)


def _goodness(run: TrainedRun) -> tuple[bool, float]:
    """Return what runs are ordered by: the lead where it is known, else the median."""
    return (False, run.median) if run.lead is None else (True, run.lead)


def _manifests(workspace: Workspace) -> Iterator[Manifest]:
    """Yield the list of cells of each experiment; a damaged one is left out."""
    for path in sorted((workspace.runs / "experiments").glob("*.json")):
        try:
            yield load_manifest(workspace.runs, path.stem)
        except BenchError:
            continue


def _trained_rate(folder: CellFolder) -> int | None:
    """Return the rate in hertz of a cell's training; None where it cannot be used any more."""
    try:
        version = registry.find_method(folder.cell.method).VERSION
        training = training_folder(folder)
    except BenchError:  # a method of a package that is gone, or a value refused by now
        return None
    if folder.cell.version != version or not training.is_fitted():
        return None
    saved = read_json(training.fit_folder / "separator.json") or {}
    rate = saved.get("learned", {}).get("rate_")
    return rate if isinstance(rate, int) else None


def _median(folder: CellFolder) -> tuple[_Scale, float] | None:
    """Return the median of the voice's NSDR or SDR in dB; None where the cell is not scored."""
    protocol = next(iter(folder.cell.protocols))
    scores = folder.scores(protocol)
    if scores is None:
        return None
    voice = scores[scores["target"] == "vocals"]
    metric = "nsdr" if (voice["metric"] == "nsdr").any() else "sdr"
    values = voice.loc[voice["metric"] == metric, "value"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    cell = folder.cell
    return (cell.dataset, cell.digests["test"], protocol, metric), float(np.median(values))


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
    recipe = next((file for limit, file in _RECIPES if rate <= limit), _RECIPES[-1][1])
    all_runs = [run for run in trained_runs(workspace) if run.folder.cell.dataset != "synthetic"]
    runs = [run for run in all_runs if run.may_be_chosen]
    if not runs:
        none = (
            f"none of the {len(all_runs)} runs trained here has a better voice than a method "
            "without training"
            if all_runs
            else "no run on real singers is trained here"
        )
        return WITHOUT_TRAINING, (
            f"with {WITHOUT_TRAINING}, the best method without training on held-out songs: {none}. "
            f"To train networks: bench run {recipe}"
        )
    best = max(runs, key=lambda run: (min(run.rate, rate), _goodness(run)))
    lead = (
        "no method without training was scored beside it"
        if best.lead is None
        else f"its voice is {best.lead:.1f} dB above that of the best method without training"
    )
    return str(best.folder.path), (
        f"with {best.text}, the best of {len(runs)} trained here: {lead}; licence of what it "
        f"learnt from: {best.licence}"
        + (f". To train at a higher rate: bench run {recipe}" if best.rate < rate else "")
    )
