"""What several tests share: where the real data lie, and small tracks made by code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
import torch

from bench.datasets.synthetic import Synthetic
from bench.track import TARGETS, Track
from tests.command import Command, end, start

SHARED = Path(__file__).resolve().parents[2] / "shared"


#: Files of tests that take longest. They begin first, so that no worker ends long after the others.
LONGEST = (
    "test_drill.py",
    "test_executor.py",
    "test_sweep.py",
    "test_ui.py",
    "test_cli.py",
    "test_third_party.py",
    "test_third_party_network.py",
    "test_trainer.py",
    "test_network_separator.py",
    "test_docs.py",
    "test_musdb18.py",
    "test_server.py",
    "test_tracker.py",
    "test_contract.py",
    "test_songs.py",
)
#: Files that start processes, servers or browsers, or train, in nearly every test: none is quick.
SLOW = {*LONGEST, "test_model.py", "test_page.py"} - {"test_contract.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and mark the tests of slow files as slow."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))
    for item in items:
        if item.path.name in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Give BLAS and PyTorch one thread, as a worker has; processes that tests start, too."""
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")})
    torch.set_num_threads(1)
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real clips and the published fixtures; it is not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared with real clips, which is not distributed")
    return SHARED


def cut(track: Track, n_samples: int, start: int = 8000) -> Track:
    """Return a short piece of a track."""
    references = {t: np.array(track.references[t][:, start : start + n_samples]) for t in TARGETS}
    return Track(f"{track.name} cut", track.rate, references)


@pytest.fixture(scope="session")
def tracks() -> list[Track]:
    """Three synthetic training clips of 1.2 s."""
    return [cut(track, 19_200) for track in Synthetic().tracks("train")[:3]]


@pytest.fixture(scope="session")
def dev() -> list[Track]:
    """A synthetic dev clip of 1.2 s."""
    return [cut(track, 19_200) for track in Synthetic().tracks("dev")[:1]]


@pytest.fixture(scope="session")
def test_track() -> Track:
    """A synthetic test clip of 1.5 s."""
    return cut(Synthetic().tracks("test")[0], 24_000)


@pytest.fixture
def bare_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with no setting from outside."""
    for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with its tables and no run: it takes MLflow 5 s of a slow core."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}")
    return path


@pytest.fixture
def workspace(bare_workspace: Path, empty_store: Path) -> Path:
    """A working directory that has an empty store, and no setting from outside."""
    shutil.copy(empty_store, bare_workspace)
    return bare_workspace


@pytest.fixture
def begin() -> Iterator[Callable[..., Command]]:
    """Start commands as `tests.command.start` does; what is left of them ends with the test."""
    commands: list[Command] = []

    def started(*words: str, module: str = "", **environment: str) -> Command:
        commands.append(start(*words, module=module, **environment))
        return commands[-1]

    yield started
    for command in commands:
        if command.log.exists():  # else the test has ended it
            end(command)
