"""A method that lives in a package of its own: installed, named in an experiment, tabled, tracked.

The package is the worked example of docs/add_a_method.md, taken from there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

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


def run(words, installed: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA"):
        environment.pop(name, None)
    command = [sys.executable, "-c", "from bench.cli.main import main; main()", *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_is_trained_scored_tabled_and_tracked_as_the_built_in_ones_are(
    example, installed, tmp_path
):
    assert (installed / "mid_side" / "__init__.py").is_file()
    (tmp_path / "mine.yaml").write_text(example["mine.yaml"])
    done = run(["run", "mine.yaml", "--workers", "1"], installed, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| Mid and side |" in (tmp_path / "reports/mine/table.md").read_text()
    rows = pd.read_csv(tmp_path / "reports/mine/rows.csv")
    mine = rows[rows["row"] == "Mid and side"]
    assert set(mine["method"]) == {"mid_side:MidSide"}
    assert mine["value"].notna().all()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    (found,) = client.search_runs([experiment.experiment_id], "tags.row = 'Mid and side'")
    assert found.data.params["floor"] == "0.01"
    assert found.data.tags["method"] == "mid_side:MidSide"
    again = run(["run", "mine.yaml", "--workers", "0"], installed, tmp_path)
    assert "2 cells: 0 computed, 2 reused, 0 failed" in again.stdout


def test_a_hyperparameter_that_it_does_not_have_is_refused(example, installed, tmp_path):
    text = example["mine.yaml"].replace("floor:", "flor:")
    (tmp_path / "mine.yaml").write_text(text)
    done = run(["run", "mine.yaml"], installed, tmp_path)
    assert done.returncode == 2
    assert "did you mean 'floor'" in done.stderr
    (tmp_path / "mine.yaml").write_text(example["mine.yaml"].replace("MidSide", "MidSid"))
    done = run(["run", "mine.yaml"], installed, tmp_path)
    assert "cannot be imported" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
