"""The tracks that external estimates are scored against: a folder, or a corpus's test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.datasets import DATASETS, folder, open_dataset
from bench.datasets.dataset import Groups
from bench.errors import BenchError, nearest
from bench.track import Track


@dataclass(frozen=True)
class ReferenceTracks:
    """The tracks that estimates are scored against.

    Attributes
    ----------
    dataset
        Name of the corpus, or ``folder``.
    title, citation, licence
        For the report.
    digest
        SHA-256 of names and contents.
    names
        Names of the tracks.
    n_full
        Number of tracks of the complete split.
    groups
        Song and singer of each track; a track that is not in it is a song.
    load
        Returns the track of a name.
    """

    dataset: str
    title: str
    citation: str
    licence: str
    digest: str
    names: Sequence[str]
    n_full: int
    groups: Mapping[str, Groups]
    load: Callable[[str], Track]


def find_references(source: str, data: Path) -> ReferenceTracks:
    """Return the references in a folder, or the test split of a corpus by its name.

    Raises
    ------
    BenchError
        There is no such folder or corpus, or it is empty or damaged.
    """
    if source in DATASETS and not Path(source).is_dir():
        corpus = open_dataset(source, data)
        names = corpus.names("test")
        return ReferenceTracks(
            source, corpus.TITLE, corpus.CITATION, corpus.LICENCE, corpus.digest("test"),
            names, corpus.FULL_SIZES.get("test", len(names)), corpus.test_groups(),
            lambda name: corpus.load("test", name),
        )  # fmt: skip
    root = Path(source)
    if not root.is_dir():
        raise BenchError(
            f"no references {source!r}: neither a folder of tracks nor a corpus; "
            f"{nearest(source, DATASETS)}"
        )
    names = folder.track_names(root)
    return ReferenceTracks(
        "folder", f"references in {root.name}", "not stated.", "not stated",
        folder.digest(root, names), names, len(names), {},
        lambda name: folder.load_track(root, name),
    )  # fmt: skip
