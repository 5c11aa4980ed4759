"""A method that lives in a package of its own: installed, named in an experiment, tabled, tracked.

The package is the worked example of docs/add_a_method.md, taken from there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from tests.command import bench, end, start
from tests.manual import ROOT, blocks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    """The files of the worked example, by their names in the package."""
    page = ROOT / "docs" / "add_a_method.md"
    return {block.file.removeprefix("mid-side/"): block.text for block in blocks(page)}


@pytest.fixture(scope="module")
def installed(example, tmp_path_factory) -> Path:
    """The folder that pip installed the example into."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "mid_side/__init__.py"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example[name])
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", target, source], check=True, capture_output=True)
    return target


def run(words, installed: Path, folder: Path) -> tuple[int, str]:
    """Run a command where the example is installed; return its status and what it said."""
    path = os.pathsep.join([str(installed), str(ROOT)])
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA"):
            patch.delenv(name, raising=False)
        process = start(*words, PYTHONPATH=path)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        end(process)
    return process.returncode, said


def test_it_is_trained_scored_tabled_and_tracked_as_the_built_in_ones_are(
    example, installed, tmp_path, empty_store
):
    assert (installed / "mid_side" / "__init__.py").is_file()
    (tmp_path / "mine.yaml").write_text(example["mine.yaml"])
    shutil.copy(empty_store, tmp_path)
    status, said = run(["run", "mine.yaml", "--workers", "1"], installed, tmp_path)
    assert status == 0, said
    assert "| Mid and side |" in (tmp_path / "reports/mine/table.md").read_text()
    rows = pd.read_csv(tmp_path / "reports/mine/rows.csv")
    own_rows = rows[rows["row"] == "Mid and side"]
    assert set(own_rows["method"]) == {"mid_side:MidSide"}
    assert own_rows["value"].notna().all()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    (cell_run,) = client.search_runs([experiment.experiment_id], "tags.row = 'Mid and side'")
    assert cell_run.data.params["floor"] == "0.01"
    assert cell_run.data.tags["method"] == "mid_side:MidSide"
    _, said = run(["run", "mine.yaml", "--workers", "0"], installed, tmp_path)
    assert "2 cells: 0 computed, 2 reused, 0 failed" in said


def test_a_hyperparameter_that_it_does_not_have_is_refused(
    example, installed, bare_workspace, monkeypatch, capsys
):
    monkeypatch.syspath_prepend(str(installed))
    for old, new, why in (
        ("floor:", "flor:", "did you mean 'floor'"),
        ("MidSide", "MidSid", "has no class MidSid"),
    ):
        Path("mine.yaml").write_text(example["mine.yaml"].replace(old, new))
        assert bench("run", "mine.yaml") == 2
        err = capsys.readouterr().err
        assert why in err
        assert len(err.strip().splitlines()) == 1
