"""A network that lives in a package of its own: its author writes 25 lines, the suite the rest."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from bench.datasets.synthetic import Synthetic
from bench.methods import chunks
from bench.methods.saved import load_saved
from bench.track import TARGETS
from tests.command import Command, end, start, wait_until
from tests.manual import ROOT, blocks

pytestmark = pytest.mark.slow

#: The files of the worked example in the manual, by name.
EXAMPLE = {block.file: block.text for block in blocks(ROOT / "docs" / "add_a_method.md")}
NETWORK = EXAMPLE["blstm-karaoke/blstm_karaoke/__init__.py"]
PACKAGE = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "blstm-karaoke"
version = "0.1"

[tool.setuptools]
packages = ["blstm_karaoke"]
"""
EXPERIMENT = EXAMPLE["network.yaml"]
#: What the rounding of single precision leaves of a seam.
EXACT_DB = 120.0


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that pip installed the package into."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "blstm_karaoke").mkdir()
    (source / "pyproject.toml").write_text(PACKAGE)
    (source / "blstm_karaoke" / "__init__.py").write_text(NETWORK)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, "--target", target, source], check=True, capture_output=True)
    return target


def begin(installed: Path, folder: Path, empty_store: Path) -> Command:
    """Start the experiment in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "network.yaml").write_text(EXPERIMENT)
    if not (folder / "mlflow.db").exists():
        shutil.copy(empty_store, folder)
    path = os.pathsep.join([str(installed), str(ROOT)])
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA"):
            patch.delenv(name, raising=False)
        return start("run", "network.yaml", "--workers", "0", PYTHONPATH=path)


@pytest.fixture(scope="module")
def through(installed, tmp_path_factory, empty_store) -> Path:
    """The working directory of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("through")
    process = begin(installed, folder, empty_store)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    end(process)
    return folder


def test_the_network_is_no_longer_than_25_lines():
    assert sum(bool(line.strip()) for line in NETWORK.splitlines()) <= 25


def test_its_curves_and_pictures_are_in_mlflow_and_its_row_in_the_table(through):
    assert "| BLSTM |" in (through / "reports/network/table.md").read_text()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{through / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("network")
    (run,) = client.search_runs([experiment.experiment_id], "tags.row = 'BLSTM'")
    loss = client.get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in loss] == list(range(1, 31))
    assert loss[-1].value < 0.7 * loss[0].value
    assert client.get_metric_history(run.info.run_id, "dev/snri")
    assert run.data.params["units"] == "32"
    assert run.data.tags["precision"] == "float32"


def test_killed_after_its_first_checkpoint_it_goes_on_to_the_same_bytes(
    installed, through, tmp_path, empty_store
):
    folder = tmp_path / "killed"
    process = begin(installed, folder, empty_store)
    wait_until(lambda: list(folder.glob("runs/*/checkpoints/last.ckpt")), "a checkpoint")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    end(process)
    assert not list(folder.glob("runs/*/fit.json")), "it had ended before it was killed"
    process = begin(installed, folder, empty_store)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    end(process)
    (curves,) = folder.glob("runs/*/curves.jsonl")
    steps = [json.loads(line)["step"] for line in curves.read_text().splitlines() if line]
    assert steps.count(1) == 1, "it began again"
    (one,), (other,) = (f.glob("runs/*/fit/weights.safetensors") for f in (through, folder))
    assert one.read_bytes() == other.read_bytes()


def test_a_long_song_in_chunks_has_the_estimates_of_the_whole(installed, through, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)
    (folder,) = through.glob("runs/*/fit")
    method = load_saved(folder)
    tracks = [*Synthetic().tracks("test")]
    song = np.concatenate([track.mixture for track in tracks], axis=1)
    whole = method.separate(song, 16_000)
    in_chunks = chunks.separate_mixture(method, song, 16_000)
    for target in TARGETS:
        error = np.square(whole[target] - in_chunks[target]).sum()
        assert 10 * np.log10(np.square(whole[target]).sum() / max(error, 1e-300)) > EXACT_DB
