"""The method for a song where none is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from baselines.networks.drnn.separator import DRNN
from baselines.nmf import NMF
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.methods import registry
from bench.methods.separator import Separator
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.songs.choose import chosen_method, trained_runs
from bench.songs.load import load
from bench.store.cell_folder import CellFolder
from bench.store.manifest import manifest_path
from bench.store.workspace import Workspace

#: Methods that learn, and the values that make their training short.
TRAINED: dict[str, tuple[type[Separator], dict[str, int]]] = {
    "drnn": (DRNN, {"hidden": 4, "epochs": 1, "batch_size": 2}),
    "nmf": (NMF, {"atoms": 2, "iterations": 1}),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The folder of each trained method by name."""
    folder = tmp_path_factory.mktemp("weights")
    for name, (cls, values) in TRAINED.items():
        cls(**values).fit(Synthetic().tracks("train")[:1]).save(folder / name)
    return folder


def cell_of(row, dataset, trained_on, test, protocol):
    """Return the cell of a row such as ``drnn 6.5``."""
    method = row.split()[0]
    cls = registry.find_method(method)
    values = TRAINED[method][1] if method in TRAINED else {}
    hyperparameters = registry.make(cls, values, method).hyperparameters()
    draws = hyperparameters.pop("seed", None) is not None
    learnt_from = {"train": trained_on, "dev": trained_on} if method in TRAINED else {}
    return Cell(
        row=row,
        method=method,
        group=cls.GROUP,
        version=cls.VERSION,
        hyperparameters=hyperparameters,
        seed=0 if draws else None,
        dataset=dataset,
        digests={**learnt_from, "test": test},
        protocols={protocol: 1},
    )


@pytest.fixture
def add(bare_workspace, weights):
    """Write a finished experiment: rows named by a method and the median of its voice in dB.

    A row is ``drnn 6.5``, say.
    """

    def write(name, *rows, dataset="mir1k", protocol="bss_eval_v3", metric="nsdr", test="test"):
        cells = [cell_of(row, dataset, f"{name} {row}", test, protocol) for row in rows]
        for cell in cells:
            folder = CellFolder(Path("runs"), cell)
            folder.begin()
            if cell.learns:
                shutil.copytree(weights / cell.method, folder.fit_folder)
                folder.mark_fitted({})
            values = [float(cell.row.split()[1]) + offset for offset in (-1, 0, 4)]
            scores = pd.DataFrame({"target": "vocals", "metric": metric, "value": values})
            folder.write_scores(protocol, scores, {})
        entries = [{"method": cell.method, "label": cell.row} for cell in cells]
        experiment = Experiment(name=name, title="T", why="W", dataset=dataset, methods=entries)
        path = manifest_path(Path("runs"), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "experiment": experiment.model_dump(),
            "corpus": {
                "title": f"Corpus of {name}",
                "citation": "Somebody.",
                "licence": "free",
                "n_test": 1,
                "n_full": 1,
            },
            "cells": [cell.to_json() for cell in cells],
        }
        path.write_text(json.dumps(content))
        return [CellFolder(Path("runs"), cell) for cell in cells]

    return write


def test_the_trained_run_of_the_greatest_lead_is_chosen(add):
    folders = add("a", "drnn 6.5", "nmf 5.0", "rpca 4.0", "hpss 6.0")
    name, why = chosen_method(Workspace(), 16_000)
    assert name == str(folders[0].path)
    assert "(drnn 6.5, seed 0 of experiment a, Corpus of a, 16000 Hz): its voice is 0.50 dB" in why
    assert "above that of the best method without training; licence" in why
    assert "To train at a higher rate" not in why
    assert (
        "To train at a higher rate: bench run experiments/musdb18.yaml"
        in (chosen_method(Workspace(), 44_100)[1])
    )


def test_a_run_no_better_than_a_method_without_training_is_not_chosen(add):
    add("a", "drnn 5.9", "nmf 5.0")
    add("b", "hpss 6.0")  # on the same tracks
    name, why = chosen_method(Workspace(), 16_000)
    assert name == "hpss"
    assert "no network that was trained here on real singers has scored better" in why
    assert why.endswith("To train networks: bench run experiments/paper_table3.yaml")


def test_leads_are_compared_across_corpora_and_decibels_are_not(add):
    add("a", "drnn 9.0", "hpss 8.9", protocol="museval_v4", metric="sdr", test="other")
    folders = add("b", "drnn 6.5", "hpss 5.0")
    assert chosen_method(Workspace(), 16_000)[0] == str(folders[0].path)


def test_of_runs_that_nothing_was_scored_beside_a_network_alone_is_chosen(add):
    add("a", "nmf 9.0")
    assert chosen_method(Workspace(), 16_000)[0] == "hpss"
    (network,) = add("b", "drnn 3.0", test="other")
    name, why = chosen_method(Workspace(), 16_000)
    assert name == str(network.path) and "no method without training was scored beside it" in why
    better, _ = add("c", "nmf 4.0", "rpca 3.9", test="third")
    assert chosen_method(Workspace(), 16_000)[0] == str(better.path)


def test_one_training_in_two_experiments_has_its_least_lead(add):
    add("a", "drnn 4.0", "hpss 5.0")
    rows = json.loads(Path("runs/experiments/a.json").read_text())["cells"]
    again = dict(rows[0], digests={**rows[0]["digests"], "test": "other"})
    folder = CellFolder(Path("runs"), Cell(**again))
    scores = pd.DataFrame({"target": "vocals", "metric": "nsdr", "value": [4.0]})
    folder.write_scores("bss_eval_v3", scores, {})
    content = json.loads(Path("runs/experiments/a.json").read_text())
    content["cells"] = [again]
    content["experiment"] |= {"name": "z", "methods": content["experiment"]["methods"][:1]}
    Path("runs/experiments/z.json").write_text(json.dumps(content))
    (run,) = trained_runs(Workspace())
    assert run.lead == -1.0
    assert chosen_method(Workspace(), 16_000)[0] == "hpss"


@pytest.mark.parametrize(
    "change", [{"corpus": None}, {"cells": [{}]}, {"cells": "protocols"}, {"cells": "digests"}]
)
def test_a_damaged_record_is_left_out(add, change):
    folder, *_ = add("good", "drnn 6.5", "hpss 5.0")
    add("bad", "nmf 6.0")
    path = Path("runs/experiments/bad.json")
    content = json.loads(path.read_text())
    if isinstance(change.get("cells"), str):
        change = {"cells": [content["cells"][0] | {change["cells"]: {}}]}
    path.write_text(json.dumps(content | change))
    assert chosen_method(Workspace(), 16_000)[0] == str(folder.path)


def test_a_song_of_a_higher_rate_than_any_recipe_is_told_of_none_that_is_no_better(add, weights):
    (folder, _) = add("a", "drnn 6.5", "hpss 5.0")
    path = folder.fit_folder / "separator.json"
    saved = json.loads(path.read_text())
    saved["learned"]["rate_"] = 44_100
    path.write_text(json.dumps(saved))
    folder.mark_fitted({})
    assert "To train at a higher rate" not in chosen_method(Workspace(), 48_000)[1]
    saved["learned"] = None
    path.write_text(json.dumps(saved))
    folder.mark_fitted({})
    assert trained_runs(Workspace()) == []


def test_a_run_on_the_synthetic_corpus_is_named_and_never_chosen(add):
    add("a", "drnn 6.5", "rpca 4.0", dataset="synthetic")
    name, why = chosen_method(Workspace(), 16_000)
    assert name == "hpss" and "no network that was trained here on real singers has" in why
    with pytest.raises(BenchError, match=r"scored here: runs/\w+ \(drnn 6.5, seed 0 of"):
        load("drnn")


@pytest.mark.parametrize("fault", ["gone", "damaged", "another version"])
def test_a_run_whose_weights_cannot_be_used_is_left_out(add, monkeypatch, fault):
    best, second, _ = add("a", "drnn 6.5", "nmf 6.0", "rpca 4.0")
    assert len(trained_runs(Workspace())) == 2
    if fault == "gone":
        shutil.rmtree(best.fit_folder)
    elif fault == "damaged":
        file = next(best.fit_folder.glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:-1])
    else:
        monkeypatch.setattr(DRNN, "VERSION", DRNN.VERSION + 1)
    assert chosen_method(Workspace(), 16_000)[0] == str(second.path)
