"""Cells of a report taken into another working directory."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from bench.provenance import short
from bench.report.committed import load_committed, load_provenance
from bench.report.formats.markdown import escape_markdown
from tests.command import bench, run_in

FIRST = """\
title: Shared
why: Which mask?
dataset: synthetic
table: {targets: [vocals]}
methods:
  - {method: mixture, label: Mixture}
  - {method: rpca, label: RPCA}
  - method: drnn
    label: DNN
    fixed: {recurrent: none, hidden: 8, epochs: 1, batch_size: 4, precision: float32}
"""
MORE = """\
  - {method: ideal_ratio_mask, label: Ideal ratio mask}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory, empty_store):
    return run_in(tmp_path_factory.mktemp("first"), "shared.yaml", FIRST, empty_store)


@pytest.fixture
def report(first, workspace):
    """The first report, beside an experiment that has one row more under another label."""
    shutil.copytree(first / "reports" / "shared", workspace / "elsewhere" / "shared")
    (workspace / "more.yaml").write_text(FIRST.replace("label: RPCA", "label: Ours") + MORE)
    return workspace / "elsewhere" / "shared"


def test_only_the_new_row_is_computed_and_the_scores_are_the_same_to_the_bit(
    first, report, workspace, capsys
):
    assert bench("run", "more.yaml", "--reuse", str(report), "--dry-run") == 0
    printed = capsys.readouterr().out
    assert f"without --dry-run: 3 cells taken from {report}" in printed
    assert "Ours: reused: a report has its scores" in printed
    assert "4 cells: 1 to compute, 3 reused" in printed
    assert not (workspace / "runs").exists()
    assert bench("run", "more.yaml", "--reuse", str(report), "--workers", "0") == 0
    out, err = capsys.readouterr()
    assert "4 cells: 1 computed, 3 reused, 0 failed" in out
    assert "records what is missing" not in out + err
    store = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("more")
    runs = store.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    rows = {run.data.tags["row"] for run in runs if run.data.tags["bench.kind"] == "cell"}
    assert rows == {"Mixture", "Ours", "DNN", "Ideal ratio mask"}
    assert not store.search_logged_models([experiment.experiment_id]), "nothing was learnt here"
    keys = ["method", "track", "target", "metric"]
    before, after = (
        load_committed(folder).scores.astype(dict.fromkeys(keys, "str")).set_index(keys)["value"]
        for folder in (first / "reports" / "shared", workspace / "reports" / "more")
    )
    assert before.equals(after.loc[before.index])
    assert bench("report", "more", "--check") == 0
    text = (workspace / "reports" / "more" / "table.md").read_text()
    commit = escape_markdown(short(load_provenance(report)["report"]["commit"]))
    assert f"| Ours | taken from shared ({commit}) |" in text
    assert "| Ideal ratio mask | computed here |" in text


def test_each_cell_keeps_how_it_was_first_made(first, report, workspace):
    assert bench("run", "more.yaml", "--reuse", str(report), "--workers", "0") == 0
    then, now = (
        {cell["fingerprint"]: cell["scores"]["bss_eval_v3"] for cell in load_provenance(f)["cells"]}
        for f in (first / "reports" / "shared", workspace / "reports" / "more")
    )
    for fingerprint, facts in then.items():
        taken = now[fingerprint]
        assert taken.pop("taken_from")["report"] == "shared"
        assert taken.pop("sha256")
        assert taken == {k: v for k, v in facts.items() if k != "sha256"}


def test_a_cell_of_other_data_or_values_is_computed(report, workspace, capsys):
    provenance = report / "provenance.json"
    facts = json.loads(provenance.read_text())
    mixture, rpca, _ = facts["cells"]
    mixture["digests"]["test"] = "0" * 64
    rpca["status"] = "failed"
    provenance.write_text(json.dumps(facts))
    command = ["run", "more.yaml", "--reuse", str(report), "--dry-run"]
    assert bench(*command, "-o", "methods[2].fixed.hidden=9") == 0
    assert "4 cells: 4 to compute, 0 reused" in capsys.readouterr().out


def test_scores_that_are_not_those_of_the_table_are_not_taken(report, workspace, capsys):
    scores = pd.read_parquet(report / "scores.parquet")
    metadata = pq.read_schema(report / "scores.parquet").metadata
    for changed in (scores[scores["track"] != scores["track"].iloc[0]], scores.assign(value=1.0)):
        table = pa.Table.from_pandas(changed, preserve_index=False)
        pq.write_table(table.replace_schema_metadata(metadata), report / "scores.parquet")
        assert bench("run", "more.yaml", "--reuse", str(report)) == 2
        assert "in rows.csv is not what scores.parquet gives" in capsys.readouterr().err
        assert not list((workspace / "runs").glob("*/scores"))


def test_a_folder_without_a_report_is_refused_before_anything_is_written(workspace, capsys):
    (workspace / "more.yaml").write_text(FIRST)
    assert bench("run", "more.yaml", "--reuse", "nowhere") == 2
    assert "reports/nowhere/provenance.json is missing or damaged" in capsys.readouterr().err
    assert not list((workspace / "runs").glob("*/scores"))
