from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.plan.cells import Cell, cells
from bench.plan.experiment import Experiment
from bench.store.cell_folder import CellFolder
from bench.store.files import read_json, write_text
from bench.store.results import read_outcome


@pytest.fixture(scope="module")
def planned():
    methods = [
        {"method": "mixture", "label": "Mixture"},
        {"method": "drnn", "label": "DNN", "fixed": {"recurrent": "none"}},
    ]
    experiment = Experiment(
        name="x", title="t", why="w", dataset="synthetic", seeds=[0, 1], methods=methods
    )
    return cells(experiment, Synthetic())


def test_a_method_that_draws_runs_once_a_seed_and_another_once(planned):
    assert [(c.row, c.seed) for c in planned] == [("Mixture", None), ("DNN", 0), ("DNN", 1)]
    assert set(planned[0].digests) == {"test"}
    assert set(planned[1].digests) == {"train", "dev", "test"}


def test_all_hyperparameters_are_in_a_cell_defaults_too(planned):
    assert planned[1].hyperparameters["hidden"] == 1000
    assert "seed" not in planned[1].hyperparameters


@pytest.mark.parametrize(
    "change",
    [
        {"method": "nmf"},
        {"version": 99},
        {"seed": 7},
        {"dataset": "mir1k"},
        {"hyperparameters": {"hidden": 3}},
        {"digests": {"train": "a", "dev": "b", "test": "c"}},
    ],
)
def test_whatever_was_learnt_depends_on_is_in_the_fingerprint(planned, change):
    assert replace(planned[1], **change).fingerprint != planned[1].fingerprint


def test_neither_label_nor_protocol_nor_test_split_is_in_the_fingerprint_of_what_was_learnt(
    planned,
):
    cell = planned[1]
    other = replace(
        cell, row="another", protocols={"new": 1}, digests={**cell.digests, "test": "other"}
    )
    assert other.fingerprint == cell.fingerprint


def test_protocol_its_version_and_the_test_split_are_in_the_key_of_scores(planned):
    cell = planned[1]
    version = cell.protocols["bss_eval_v3"]
    keys = {
        cell.score_key("bss_eval_v3"),
        replace(cell, protocols={"bss_eval_v3": version + 1}).score_key("bss_eval_v3"),
        replace(cell, digests={**cell.digests, "test": "x" * 64}).score_key("bss_eval_v3"),
    }
    assert len(keys) == 3


def test_a_cell_comes_back_from_json(planned):
    assert Cell(**planned[1].to_json()) == planned[1]
    assert Cell(**planned[1].to_json()).fingerprint == planned[1].fingerprint


@pytest.fixture
def folder(tmp_path, planned):
    folder = CellFolder(tmp_path, planned[1])
    folder.begin()
    return folder


SCORES = pd.DataFrame(
    {
        "track": ["a"],
        "target": ["vocals"],
        "protocol": ["bss_eval_v3"],
        "metric": ["sdr"],
        "window": [-1],
        "value": [1.0 / 3.0],
        "n_samples": [16_000],
    }
)


def test_scores_come_back_as_they_were(folder):
    assert not folder.is_done()
    folder.write_scores("bss_eval_v3", SCORES, {"n_tracks": 1})
    assert folder.is_done()
    pd.testing.assert_frame_equal(folder.scores("bss_eval_v3"), SCORES)
    assert folder.score_facts("bss_eval_v3")["n_tracks"] == 1


def test_scores_without_their_marker_or_changed_behind_it_do_not_count(folder):
    folder.write_scores("bss_eval_v3", SCORES, {})
    (parquet,) = (folder.path / "scores").glob("*.parquet")
    content = parquet.read_bytes()
    parquet.write_bytes(content[:-1] + b"\0")
    assert not folder.is_done()
    parquet.write_bytes(content)
    assert folder.is_done()
    parquet.with_suffix(".json").write_text("{")
    assert not folder.is_done()
    parquet.with_suffix(".json").unlink()
    assert not folder.is_done()


def test_a_failed_cell_is_never_taken_for_finished(folder):
    folder.write_state("failed", error="BenchError: no", traceback="...")
    outcome = read_outcome(folder, "x")
    assert (outcome.status, outcome.error) == ("failed", "BenchError: no")
    assert not folder.is_done()
    folder.write_scores("bss_eval_v3", SCORES, {})
    outcome = read_outcome(folder, "x")
    assert (outcome.status, outcome.error) == ("done", None)


def test_what_was_learnt_counts_only_while_its_files_are_as_they_were_written(folder):
    assert not folder.is_fitted()
    folder.fit_folder.mkdir()
    weights = folder.fit_folder / "weights.safetensors"
    weights.write_bytes(b"12345678")
    folder.mark_fitted({"fit_s": 1.0})
    assert folder.is_fitted()
    weights.write_bytes(b"1234")
    assert not folder.is_fitted()
    weights.unlink()
    assert not folder.is_fitted()


def test_curves_keep_the_last_of_a_repeated_step_and_pass_over_a_cut_line(folder):
    folder.add_metrics(1, {"loss": 3.0})
    folder.add_metrics(2, {"loss": 2.5})
    folder.add_metrics(2, {"loss": 2.0})
    with (folder.path / "curves.jsonl").open("a") as file:
        file.write('{"step": 3, "val')
    folder.add_metrics(4, {"loss": 1.0})
    curve = [(c["step"], c["values"]["loss"]) for c in folder.curves()]
    assert curve == [(1, 3.0), (2, 2.0), (4, 1.0)]


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_text(path, '{"a": 1}')

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BenchError, match="No space left on device"):
        write_text(path, '{"a": 2}')
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_cells_that_differ_in_separation_alone_share_one_training(planned):
    cell = planned[1]
    binary = replace(cell, hyperparameters={**cell.hyperparameters, "test_mask": "binary"})
    wider = replace(cell, hyperparameters={**cell.hyperparameters, "hidden": 2000})
    assert binary.fingerprint != cell.fingerprint
    assert binary.training_cell.fingerprint == cell.fingerprint
    assert cell.training_cell is cell
    assert wider.training_cell is wider
    assert planned[0].training_cell is planned[0]
