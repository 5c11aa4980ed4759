"""The method for a song where none is named: the best trained here, or the best without training.

A network that was trained on the synthetic corpus has heard no singer and is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.errors import BenchError
from bench.store.cell_folder import CellFolder
from bench.store.files import read_json
from bench.store.manifest import load_manifest
from bench.store.trained import training_folder
from bench.store.workspace import Workspace

#: The best of the methods without training on training songs held out: 7.5 dB of GNSDR in
#: `reports/select_hpss`, 6.8 in `reports/select_rpcah`, 5.0 in `reports/select_repetition`.
WITHOUT_TRAINING = "hpss"
#: How to train a network, for music of rates up to 16 kHz and for others.
_RECIPES = ((16_000, "experiments/paper_table3.yaml"), (44_100, "experiments/musdb18.yaml"))


@dataclass(frozen=True)
class TrainedRun:
    """A finished cell whose method was trained here.

    Attributes
    ----------
    experiment, folder
        The experiment's name and the cell's folder.
    rate
        Sampling rate of the training in hertz.
    gain
        Median over the test tracks of the voice's NSDR, or of its SDR under another protocol, in
        dB.
    title, licence
        Title and licence of the corpus.
    """

    experiment: str
    folder: CellFolder
    rate: int
    gain: float
    title: str
    licence: str

    @property
    def text(self) -> str:
        """The run in words."""
        name, path = self.folder.cell.name, self.folder.path
        return f"{path} ({name} of experiment {self.experiment}, {self.title}, {self.rate} Hz)"


def trained_runs(workspace: Workspace, method: str | None = None) -> list[TrainedRun]:
    """Return the trained runs of a workspace, or those of one method; the best voice first."""
    runs = {run.folder.path: run for run in _trained_runs(workspace, method)}
    return sorted(runs.values(), key=lambda run: -run.gain)


def _trained_runs(workspace: Workspace, method: str | None) -> Iterator[TrainedRun]:
    """Yield the trained runs of each experiment."""
    for path in sorted((workspace.runs / "experiments").glob("*.json")):
        try:
            manifest = load_manifest(workspace.runs, path.stem)
        except BenchError:
            continue
        for folder in manifest.folders:
            cell = folder.cell
            if not cell.learns or cell.dataset == "synthetic" or method not in (None, cell.method):
                continue
            saved = read_json(training_folder(folder).fit_folder / "separator.json") or {}
            rate, gain = saved.get("learned", {}).get("rate_"), _gain(folder)
            if isinstance(rate, int) and gain is not None:
                about = manifest.corpus.get("title", ""), manifest.corpus.get("licence", "")
                yield TrainedRun(path.stem, folder, rate, gain, *about)


def _gain(folder: CellFolder) -> float | None:
    """Return the median of the voice's NSDR or SDR; None where the cell is not scored whole."""
    scores = folder.scores(next(iter(folder.cell.protocols)))
    if scores is None:
        return None
    voice = scores[scores["target"] == "vocals"]
    metric = "nsdr" if (voice["metric"] == "nsdr").any() else "sdr"
    values = voice.loc[voice["metric"] == metric, "value"].to_numpy(dtype=float)
    return float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else None


def chosen_method(workspace: Workspace, rate: int) -> tuple[str, str]:
    """Return the name of the method for songs of a rate, and why it was chosen in a line.

    A run whose training had the song's rate or a higher one comes before the others, since a voice
    that is separated at a lower rate lacks what lies above half of it.

    Parameters
    ----------
    workspace
        The working directory.
    rate
        Sampling rate of the songs in hertz.
    """
    runs = trained_runs(workspace)
    recipe = next((file for limit, file in _RECIPES if rate <= limit), _RECIPES[-1][1])
    if not runs:
        return WITHOUT_TRAINING, (
            f"with {WITHOUT_TRAINING}, the best method without training: no network is trained in "
            f"this folder. A trained one separates better: bench run {recipe}"
        )
    best = max(runs, key=lambda run: (min(run.rate, rate), run.gain))
    return str(best.folder.path), (
        f"with {best.text}, the best of {len(runs)} trained here; licence of what it learnt from: "
        f"{best.licence}"
        + (f". One trained at a higher rate: bench run {recipe}" if best.rate < rate else "")
    )
