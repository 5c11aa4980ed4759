from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import cells
from bench.plan.experiment import Experiment
from bench.runner.context import CellContext
from bench.runner.usage import Usage
from bench.store.cell_folder import CellFolder
from bench.store.results import read_outcome


@pytest.fixture
def folder(tmp_path):
    methods = [{"method": "drnn", "label": "DNN", "fixed": {"recurrent": "none"}}]
    experiment = Experiment(
        name="x", title="t", why="w", dataset="synthetic", seeds=[0], methods=methods
    )
    (cell,) = cells(experiment, Synthetic())
    folder = CellFolder(tmp_path, cell)
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


def test_curves_pass_over_a_line_with_a_damaged_byte(folder):
    for step in (1, 2, 3):
        folder.add_metrics(step, {"loss": 1.0})
    path = folder.path / "curves.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"step": 2', b'"step": \xff'))
    assert [line["step"] for line in folder.curves()] == [1, 3]
    path.write_bytes(path.read_bytes().replace(b'{"loss": 1.0}}', b'{"lo\xffs": 1.0}}', 1))
    assert [line["step"] for line in folder.curves()] == [3]


def test_a_training_that_begins_anew_has_none_of_the_curves_of_the_one_before(folder):
    folder.add_metrics(1, {"loss": 2.0})
    folder.add_picture(1, "dev", np.zeros((2, 2)))
    context = CellContext(folder, folder, None, {}, Usage())
    context.resume_after(3.0)
    assert folder.curves()
    assert folder.pictures()
    context.resume_after(0.0)
    assert not folder.curves()
    assert not folder.pictures()
    assert context.earlier_s == 3.0


def test_curves_keep_the_last_of_a_repeated_step_and_pass_over_a_cut_line(folder):
    folder.add_metrics(1, {"loss": 3.0})
    folder.add_metrics(2, {"loss": 2.5})
    folder.add_metrics(2, {"loss": 2.0})
    with (folder.path / "curves.jsonl").open("a") as file:
        file.write('{"step": 3, "val')
    folder.add_metrics(4, {"loss": 1.0})
    curve = [(c["step"], c["values"]["loss"]) for c in folder.curves()]
    assert curve == [(1, 3.0), (2, 2.0), (4, 1.0)]
