"""Rows of a report computed anew by ``bench reproduce``, on the synthetic corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.datasets.synthetic import Synthetic
from tests.command import bench, run_in

SWEEP = """\
title: Sweep
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: ideal_ratio_mask, label: Ratio}
  - method: drnn
    label: DNN
    fixed: {hidden: 12, layers: 2, recurrent: none, epochs: 2, precision: float32}
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory, empty_store) -> Path:
    """The report of a finished sweep."""
    folder = run_in(tmp_path_factory.mktemp("reported"), "sweep.yaml", SWEEP, empty_store)
    return folder / "reports" / "sweep"


@pytest.fixture
def report(reported, bare_workspace, monkeypatch) -> Path:
    """A copy of the report alone in an empty working directory, as a reviewer has it."""
    monkeypatch.setattr("bench.provenance.commit", lambda: "a" * 40)  # clean, whatever is here
    return Path(shutil.copytree(reported, bare_workspace / "reports" / "sweep"))


def test_the_same_code_gives_the_same_bits_and_a_second_call_goes_on(report, capsys):
    words = ["reproduce", "sweep", "--workers", "0"]
    assert bench(*words) == 0
    said = capsys.readouterr().out
    assert "\nRatio: same to the bit; scores of a track differ by 0 dB at most\n" in said
    assert "\nDNN: same to the bit" in said
    assert "    vocals, bss_eval_v3: GNSDR " in said
    assert said.endswith("sweep: 2 of 2 rows reproduced\n")
    assert bench(*words, "--rows", "Ratio") == 0
    assert "1 of 1 rows reproduced" in capsys.readouterr().out
    assert not Path("runs").exists()
    assert not Path("mlflow.db").exists()


def test_a_row_with_other_numbers_ends_with_status_1(report, capsys):
    path = report / "scores.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("value")
    pq.write_table(table.set_column(place, "value", pc.add(table["value"], 0.1)), path)
    assert bench("reproduce", str(report), "--rows", "Ratio", "--workers", "0") == 1
    said = capsys.readouterr().out
    assert "Ratio: not reproduced: " in said
    assert said.endswith("0 of 1 rows reproduced\n")


def test_another_corpus_or_version_or_label_is_refused_before_any_work(report, capsys, monkeypatch):
    assert bench("reproduce", "sweep", "--rows", "Ration") == 2
    assert "did you mean 'Ratio'?" in capsys.readouterr().err
    facts = json.loads((report / "provenance.json").read_text())
    facts["cells"][1]["version"] = 1
    (report / "provenance.json").write_text(json.dumps(facts))
    assert bench("reproduce", "sweep") == 2
    assert "method drnn was of version 1 and is of version" in capsys.readouterr().err
    monkeypatch.setattr(Synthetic, "digest", lambda *_: "0" * 64)
    assert bench("reproduce", "sweep") == 2
    assert "split of synthetic is not the report's" in capsys.readouterr().err
    assert not Path("reproduced").exists()


def test_cells_of_another_commit_are_not_taken_for_new_ones(report, capsys, monkeypatch):
    words = ["reproduce", "sweep", "--rows", "Ratio", "--workers", "0", "--into", "again"]
    assert bench(*words) == 0
    (marker,) = Path("again").glob("runs/*/scores/*.json")
    monkeypatch.setattr("bench.provenance.commit", lambda: "a" * 40 + "-dirty")
    assert bench(*words) == 2  # two states with uncommitted changes cannot be told apart
    monkeypatch.setattr("bench.provenance.commit", lambda: "a" * 40)
    facts = json.loads(marker.read_text())
    facts["provenance"]["commit"] = "f" * 40
    marker.write_text(json.dumps(facts))
    capsys.readouterr()
    assert bench(*words) == 2
    err = capsys.readouterr().err
    assert "again holds cells of commit ffffffffffff" in err
    assert err.count("\n") == 1
