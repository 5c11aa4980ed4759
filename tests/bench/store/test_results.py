"""A snapshot of an experiment: the outcome of each cell, read once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.store.cell_folder import CellFolder, write_text
from bench.store.manifest import add_external, load_manifest, load_results, save_manifest
from bench.store.results import Results, read_outcome
from tests.command import bench

PROTOCOLS = {"bss_eval_v3": 1, "si_sdr": 1}


def cell(row: str, seed: int | None = None, method: str = "mixture") -> Cell:
    digests = {"test": "d" * 64}
    return Cell(row, method, "unsupervised", 1, {"row": row}, seed, "synthetic", digests, PROTOCOLS)


def scores(protocol: str, *values: float) -> pd.DataFrame:
    tracks = [f"track {len(values) - i}" for i in range(len(values))]
    return pd.DataFrame(
        {
            "track": tracks,
            "target": "vocals",
            "protocol": protocol,
            "metric": "sdr",
            "window": -1,
            "value": values,
            "n_samples": 16_000,
        }
    )


@pytest.fixture
def folder(tmp_path) -> CellFolder:
    folder = CellFolder(tmp_path, cell("Row"))
    folder.begin()
    return folder


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """How often each file of scores was read, by row and protocol."""
    counts: Counter[str] = Counter()
    read = CellFolder.scores_bytes

    def counted(self: CellFolder, protocol: str, facts: dict | None = None) -> bytes | None:
        counts[f"{self.cell.row}, {protocol}"] += 1
        return read(self, protocol, facts)

    monkeypatch.setattr(CellFolder, "scores_bytes", counted)
    return counts


def test_a_cell_is_missing_until_every_protocol_has_scores(folder):
    assert read_outcome(folder, "x").status == "missing"
    folder.write_scores("bss_eval_v3", scores("bss_eval_v3", 1.0), {"n_tracks": 1})
    outcome = read_outcome(folder, "x")
    assert (outcome.status, list(outcome.scores)) == ("missing", ["bss_eval_v3"])
    assert outcome.facts["bss_eval_v3"]["n_tracks"] == 1
    folder.write_scores("si_sdr", scores("si_sdr", 1.0), {})
    assert read_outcome(folder, "x").status == "done"


def test_scores_that_were_changed_behind_their_marker_are_not_read(folder):
    for protocol in PROTOCOLS:
        folder.write_scores(protocol, scores(protocol, 1.0), {})
    path = next(folder.path.glob("scores/si_sdr*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    outcome = read_outcome(folder, "x")
    assert (outcome.status, list(outcome.scores)) == ("missing", ["bss_eval_v3"])


def test_the_runs_of_an_outcome_are_those_of_its_experiment(folder):
    notes = {
        "x @ b": {"run_id": "2"},
        "x @ a": {"run_id": "1"},
        "y @ a": {"run_id": "3"},
        "x @ c": {},
        "x @ d": 1,
        "x @ e": {"run_id": [1]},
        "x @ f": {"run_id": None},
    }
    write_text(folder.path / "mlflow.json", json.dumps(notes))
    assert read_outcome(folder, "x").mlflow_runs == ["1", "2"]


def test_the_scores_of_all_cells_are_one_table_in_the_order_of_the_cells(tmp_path):
    cells = [cell("B", 1), cell("A"), cell("Nothing yet"), cell("B", 0)]
    expected = []
    for n, one in enumerate(cells):
        folder = CellFolder(tmp_path, one)
        folder.begin()
        if one.row != "Nothing yet":
            for protocol in PROTOCOLS:
                table = scores(protocol, n, np.nan, np.inf)
                folder.write_scores(protocol, table, {})
                seed = -1 if one.seed is None else one.seed
                table = table.assign(row=one.row, method=one.method, seed=seed)
                expected.append(table.assign(song=table["track"], singer=""))
    experiment = Experiment(
        name="x",
        title="T",
        why="W.",
        dataset="synthetic",
        methods=[{"method": "mixture", "label": "A"}],
    )
    outcomes = [read_outcome(CellFolder(tmp_path, one), "x") for one in cells]
    table = Results(experiment, {}, outcomes).scores
    assert list(table.columns[:4]) == ["row", "method", "seed", "track"]
    pd.testing.assert_frame_equal(
        table.astype(dict.fromkeys(table.select_dtypes("category").columns, "str")),
        pd.concat(expected, ignore_index=True)[list(table.columns)],
        check_dtype=False,
        check_exact=True,
    )


def test_an_experiment_without_any_scores_has_an_empty_table(folder):
    experiment = Experiment(
        name="x",
        title="T",
        why="W.",
        dataset="synthetic",
        methods=[{"method": "mixture", "label": "A"}],
    )
    table = Results(experiment, {}, [read_outcome(folder, "x")]).scores
    assert len(table) == 0
    assert "value" in table.columns


@pytest.fixture
def saved(tmp_path) -> Path:
    """An experiment of a finished and an unfinished cell, and external scores."""
    experiment = Experiment(
        name="x", title="T", why="W.", dataset="synthetic", protocols=list(PROTOCOLS),
        methods=[{"method": "mixture", "label": label} for label in ("Done", "Begun")],
    )  # fmt: skip
    save_manifest(
        tmp_path, experiment, Synthetic(), [cell("Done"), cell("Begun")], ["seeds=[0]"], "x.yaml"
    )
    add_external(tmp_path, "x", cell("Theirs", method="elsewhere"))
    folder = CellFolder(tmp_path, cell("Done"))
    folder.begin()
    for protocol in PROTOCOLS:
        folder.write_scores(protocol, scores(protocol, 1.0), {})
    return tmp_path


def test_external_scores_come_last_and_stay_when_the_list_is_written_again(saved):
    manifest = load_manifest(saved, "x")
    assert [one.row for one in manifest.cells] == ["Done", "Begun", "Theirs"]
    assert manifest.experiment.methods[-1].label == "Theirs"
    experiment = manifest.experiment.model_copy(update={"methods": manifest.experiment.methods[:2]})
    save_manifest(saved, experiment, Synthetic(), manifest.cells[:2], [], "x.yaml")
    add_external(saved, "x", cell("Theirs", method="imported"))
    methods = [(one.row, one.method) for one in load_manifest(saved, "x").cells]
    assert methods == [("Done", "mixture"), ("Begun", "mixture"), ("Theirs", "imported")]


def test_finished_outcomes_that_are_known_are_not_read_again(saved, reads):
    before = load_results(saved, "x").outcomes
    assert [outcome.status for outcome in before] == ["done", "missing", "missing"]
    folder = CellFolder(saved, cell("Begun"))
    for protocol in PROTOCOLS:
        folder.write_scores(protocol, scores(protocol, 2.0), {})
    write_text(CellFolder(saved, cell("Done")).path / "mlflow.json", '{"x @ a": {"run_id": "1"}}')
    reads.clear()
    after = load_manifest(saved, "x").results(known=before).outcomes
    assert [outcome.status for outcome in after] == ["done", "done", "missing"]
    assert after[0].mlflow_runs == ["1"]
    assert not [key for key in reads if key.startswith("Done")]


def test_a_list_of_cells_that_is_damaged_is_refused_in_one_line(saved):
    path = saved / "experiments" / "x.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "cells": [{"row": "Half"}]}))
    with pytest.raises(BenchError, match=r"x\.json is damaged; the same bench run writes it anew"):
        load_manifest(saved, "x")
    with pytest.raises(BenchError, match="run it first"):
        load_manifest(saved, "never")


def test_a_run_of_finished_cells_reads_each_file_of_scores_once(workspace, reads):
    Path("two.yaml").write_text(
        "title: T\nwhy: W.\ndataset: synthetic\n"
        "methods:\n  - {method: mixture, label: Mixture}\n  - {method: repet, label: REPET}\n"
    )
    assert bench("run", "two.yaml", "--workers", "0") == 0
    reads.clear()
    assert bench("run", "two.yaml", "--workers", "0") == 0
    assert reads == {"Mixture, bss_eval_v3": 1, "REPET, bss_eval_v3": 1}
