from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.methods import registry
from bench.plan.cells import cells
from bench.plan.experiment import Experiment
from bench.store.manifest import load_manifest, manifest_path, save_manifest
from tests.command import bench, run_in
from tests.damage import with_value

OWN_METHODS = '''
from typing import ClassVar

from bench.methods.separator import Separator, separator


@separator
class Half(Separator):
    """Half of the mixture; `share` joined it later."""

    ADDED: ClassVar = {"share": 0.5}
    share: float = 0.5

    def separate(self, mixture, rate):
        return {"vocals": self.share * mixture, "accompaniment": (1 - self.share) * mixture}


@separator
class LabelledHalf(Half):
    """A bound that reads labels, so that they are part of the name of its scores."""

    GROUP: ClassVar[str] = "bound"
    READS_LABELS: ClassVar[bool] = True
    share: float = 0.4
'''

OWN = """\
title: Own
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: mixture, label: Mixture}
  - {method: "own_absent:Half", label: Half}
  - {method: "own_absent:LabelledHalf", label: Labelled half}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory, empty_store) -> Path:
    """A working directory in which methods of a module beside it were run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "own_absent.py").write_text(OWN_METHODS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        run_in(folder, "own.yaml", OWN, empty_store)
    return folder


@pytest.fixture
def without_module(original, bare_workspace, monkeypatch) -> Path:
    """A copy of the working directory without the module of the methods."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_absent", raising=False)
    monkeypatch.setattr(registry, "_FOLDERS", [])  # the run has added its own
    shutil.copytree(original, bare_workspace, dirs_exist_ok=True)
    Path("own_absent.py").unlink()
    return bare_workspace


REPORT = Path("reports/own")


def rows() -> bytes:
    return (REPORT / "rows.csv").read_bytes()


def test_a_report_is_written_again_though_the_module_of_a_method_is_gone(without_module, capsys):
    before = rows()
    fingerprints = [
        cell["fingerprint"]
        for cell in json.loads((REPORT / "provenance.json").read_text())["cells"]
    ]
    assert b"missing" not in before
    (REPORT / "rows.csv").unlink()
    assert bench("report", "own") == 0
    assert rows() == before
    assert [cell.fingerprint for cell in load_manifest(Path("runs"), "own").cells] == fingerprints
    capsys.readouterr()
    assert bench("status", "own") == 0
    assert "3 cells: 3 done" in capsys.readouterr().out


def test_a_list_without_identities_needs_the_module_and_nothing_is_written(without_module, capsys):
    path = Path("runs/experiments/own.json")
    content = json.loads(path.read_text())
    del content["identities"]
    path.write_text(json.dumps(content))
    before = {path: path.read_bytes() for path in REPORT.rglob("*") if path.is_file()}
    for command in (["report", "own"], ["track", "own"], ["status", "own"]):
        capsys.readouterr()
        assert bench(*command) == 2
        assert capsys.readouterr().err == (
            "bench: the scores of row 'Half' cannot be found: method 'own_absent:Half': there is "
            "no module own_absent: put own_absent.py into the folder in which bench is run, or "
            "install its package\n"
        )
    assert {path: path.read_bytes() for path in REPORT.rglob("*") if path.is_file()} == before
    Path("own_absent.py").write_text(OWN_METHODS)
    assert bench("report", "own") == 0
    assert b"missing" not in rows()


def test_values_of_another_type_are_damage(tmp_path):
    experiment = Experiment(
        name="x",
        title="T",
        why="W.",
        dataset="synthetic",
        methods=[{"method": "mixture", "label": "Mixture"}],
    )
    save_manifest(tmp_path, experiment, Synthetic(), cells(experiment, Synthetic()), [], "x.yaml")
    path = manifest_path(tmp_path, "x")
    content = json.loads(path.read_text())
    for place, value in (
        (["file"], 3),
        (["overrides"], 3),
        (["overrides"], [3]),
        (["cells"], [1]),
        (["identities"], [1]),
        (["identities"], content["identities"] * 2),
        (["identities", 0, "fingerprint"], "../outside"),
    ):
        path.write_text(json.dumps(with_value(content, tuple(place), value)))
        with pytest.raises(BenchError, match=r"x\.json is damaged; the same bench run writes it"):
            load_manifest(tmp_path, "x")
    del content["identities"]  # as an earlier release wrote it
    path.write_text(json.dumps(content))
    assert load_manifest(tmp_path, "x").file == "x.yaml"
