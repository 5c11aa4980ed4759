"""The corpora, one file each, and the table of their names."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import check_known

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset

DATASETS = {
    "mir1k": "bench.datasets.mir1k:MIR1K",
    "mir1k_held_out_songs": "bench.datasets.mir1k_held_out:HeldOutSongs",
    "mir1k_held_out_singer": "bench.datasets.mir1k_held_out:HeldOutSinger",
    "musdb18": "bench.datasets.musdb18:MUSDB18",
    "musdb18_7s": "bench.datasets.musdb18:MUSDB18Sample",
    "musdb18hq": "bench.datasets.musdb18:MUSDB18HQ",
    "dsd100": "bench.datasets.dsd100:DSD100",
    "ikala": "bench.datasets.ikala:IKala",
    "folder": "bench.datasets.folder:Folder",
    "synthetic": "bench.datasets.synthetic:Synthetic",
}


def find_dataset(name: str) -> type[Dataset]:
    """Return the class of a corpus.

    Raises
    ------
    BenchError
        With the nearest known name.
    """
    check_known("dataset", name, DATASETS)
    module_name, _, class_name = DATASETS[name].partition(":")
    cls: type[Dataset] = getattr(importlib.import_module(module_name), class_name)
    return cls


def shares_audio(name: str) -> bool:
    """Tell whether the audio of a corpus may be passed on; that of an unknown one may not."""
    return name in DATASETS and find_dataset(name).SHARES_AUDIO


def open_dataset(name: str, root: Path) -> Dataset:
    """Return a corpus whose folder lies in `root`; see `find_dataset`."""
    return find_dataset(name)(root)
