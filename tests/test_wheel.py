"""The wheel: installed into an environment of its own, used where no checkout is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.command import ROOT

EXPERIMENT = """\
title: Installed
why: Does the wheel hold all that a report needs?
dataset: synthetic
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ideal ratio mask}
"""


def said(*words, cwd: Path) -> str:
    # without the path of a checkout that the tests may have been started with
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """An environment with the wheel, and the dependencies of this one but not its checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("bench", "baselines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index")
    said(*pip, "wheel", *options, "--wheel-dir", str(folder), str(source), cwd=folder)
    shutil.rmtree(source)
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    said(*pip, "--python", str(python), "install", *options, str(wheel), cwd=folder)
    # A path in a .pth file is searched, and .pth files in it, such as the checkout's, are not read.
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


@pytest.mark.slow
def test_the_wheel_runs_an_experiment_and_writes_its_report(installed):
    bench, python = (str(installed / "env" / "bin" / name) for name in ("bench", "python"))
    code = "import bench, baselines; print(bench.__file__, baselines.__file__)"
    assert str(ROOT) not in said(python, "-c", code, cwd=installed)
    assert "ideal_ratio_mask" in said(bench, "list", "methods", cwd=installed)
    (installed / "mine.yaml").write_text(EXPERIMENT)
    printed = said(bench, "run", "mine.yaml", "--workers", "0", cwd=installed)
    assert "2 cells: 2 computed, 0 reused, 0 failed" in printed
    assert "is what its scores give" in said(bench, "report", "mine", "--check", cwd=installed)
    assert "3 tracks" in said(bench, "listen", "mine", cwd=installed)
