"""Files of ``runs/`` of which a field was changed: one clear error, or a cell to compute again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.store.files import read_json
from bench.store.manifest import load_manifest
from bench.store.status import cell_status
from bench.store.trained import cell_folder_at
from tests.command import bench, run_in
from tests.damage import changed

SMALL = """\
title: Small
why: A test.
dataset: synthetic
seeds: [0]
methods:
  - {method: nmf, label: NMF}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory, empty_store) -> Path:
    """A working directory in which the experiment was run."""
    return run_in(tmp_path_factory.mktemp("run"), "small.yaml", SMALL, empty_store)


@pytest.fixture
def runs(original, bare_workspace) -> Path:
    shutil.copytree(original, bare_workspace, dirs_exist_ok=True)
    return Path("runs")


def read_all(runs: Path) -> set[str]:
    """Read an experiment and its cells; return what is said of them."""
    try:
        manifest = load_manifest(runs, "small")
        outcomes = manifest.results().outcomes
        for folder in manifest.folders:
            assert folder.curves() is not None
            cell_folder_at(folder.path)
        statuses = [cell_status(folder) for folder in manifest.folders]
        said = {"damaged" if status.is_damaged else status.why for status in statuses}
    except BenchError as error:
        assert "damaged" in str(error)
        return {"refused"}
    return said | {outcome.status for outcome in outcomes}


@pytest.mark.parametrize(
    ("pattern", "what_is_said"),
    [
        ("experiments/small.json", "refused"),
        ("*/cell.json", "refused"),
        ("*/scores/*.json", "damaged"),
    ],
)
def test_a_changed_field_is_an_error_or_a_cell_to_compute_again(runs, pattern, what_is_said):
    (path,) = runs.glob(pattern)
    text = path.read_text()
    said = set()
    for content in changed(json.loads(text)):
        path.write_text(json.dumps(content))
        said |= read_all(runs)
    assert what_is_said in said
    path.write_text(text)
    assert read_all(runs) == {"done", "its scores are there"}


@pytest.mark.parametrize("pattern", ["*/fit.json", "*/state.json"])
def test_a_changed_field_of_an_unfinished_cell_is_no_error(runs, pattern):
    for marker in runs.glob("*/scores/*.json"):
        marker.unlink()
    (path,) = runs.glob(pattern)
    content = json.loads(path.read_text())
    if pattern == "*/state.json":
        content = {"stage": "fit", "time": 3.0, "done": 1, "total": 2, "unit": "epochs", "text": ""}
        content |= {"since": 1.0, "from": 0}
    for other in changed(content):
        path.write_text(json.dumps(other))
        assert "missing" in read_all(runs)


def test_a_cell_whose_facts_are_damaged_is_computed_again(runs, capsys):
    (path,) = runs.glob("*/scores/*.json")
    facts = read_json(path)
    path.write_text(json.dumps({**facts, "audio_s": "long"}))
    assert bench("run", "small.yaml", "--workers", "0") == 0
    assert "1 computed" in capsys.readouterr().out
    assert read_json(path)["audio_s"] == facts["audio_s"]


def test_a_stage_that_a_file_only_claims_moves_no_terminal(runs, capsys):
    (path,) = runs.glob("*/state.json")
    for marker in runs.glob("*/scores/*.json"):
        marker.unlink()
    state = {"stage": "failed", "time": 0.0, "error": "\x1b[2J", "traceback": "a\n\x1b]0;x\x07"}
    path.write_text(json.dumps(state))
    assert bench("status", "small", "--traceback") == 0
    shown = capsys.readouterr().out
    assert "\\x1b[2J" in shown
    assert "\x1b" not in shown
