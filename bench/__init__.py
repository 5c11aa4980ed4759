"""Benchmark suite for singing-voice separation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.version import __version__ as __version__

if TYPE_CHECKING:
    from types import ModuleType

    from bench.methods.song import SongSeparator


def __getattr__(name: str) -> ModuleType:
    """Return `bench.scoring`, which is imported when it is first asked for."""
    if name != "scoring":
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    import bench.scoring

    return bench.scoring


def load(name: str) -> SongSeparator:
    """Return a method ready for songs of any rate and length.

    Parameters
    ----------
    name
        A method's name, an MLflow run (``runs:/ID``) or model (``models:/…``), or a folder of
        weights; see `bench.songs.load`.

    Raises
    ------
    BenchError
        Nothing is known by that name, or it is not trained.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((2, 8000))
    >>> sorted(load("rpca").separate(noise, 8000))
    ['accompaniment', 'vocals']
    """
    from bench.songs.load import load as load_by_name  # not at the top: it imports PyTorch

    return load_by_name(name)
