"""What several tests share: where the real data lie, and small tracks made by code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
import torch

from bench.datasets.synthetic import Synthetic
from bench.track import TARGETS, Track

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Give BLAS and PyTorch one thread, as a worker has."""
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
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with no setting from outside."""
    for name in ("MLFLOW_TRACKING_URI", "BENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
