"""What of a corpus is there, what is missing and what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.datasets.dataset import SPLITS, Dataset
from bench.errors import BenchError
from bench.track import TARGETS


@dataclass(frozen=True)
class SplitState:
    """Tracks of a split that are here, missing or damaged.

    Attributes
    ----------
    split
        Its name.
    n_full
        Tracks of the complete split; None where there is no such number.
    names
        Names of the tracks that are here.
    missing
        Names that are known to be missing, where the corpus's names are known.
    damaged
        For each damaged track, what is wrong with it.
    n_unlabelled
        Tracks here without labels of pitch, in a corpus that has such labels.
    """

    split: str
    n_full: int | None
    names: list[str]
    missing: list[str]
    damaged: Mapping[str, str]
    n_unlabelled: int = 0

    @property
    def n_missing(self) -> int:
        """How many tracks of the complete split are not here."""
        return max(0, (self.n_full or 0) - len(self.names))


def check_corpus(
    corpus: Dataset, report_progress: Callable[[str, int, int], None] = lambda split, done, n: None
) -> list[SplitState]:
    """Read every track of a corpus whole, and return the state of each split.

    Parameters
    ----------
    corpus
        The corpus.
    report_progress
        Function that is called before each track with the split, the number of its tracks that were
        read, and the number of all of them.

    Raises
    ------
    BenchError
        Nothing of the corpus is here.
    """
    names_of, reasons = {}, []
    for split in SPLITS:
        try:
            names_of[split] = corpus.names(split)
        except BenchError as error:
            names_of[split] = []
            reasons.append(error)
    if not any(names_of.values()):
        raise reasons[-1]  # where the test tracks were looked for
    return [split_state(corpus, split, names, report_progress) for split, names in names_of.items()]


def split_state(
    corpus: Dataset, split: str, names: list[str], report_progress: Callable[[str, int, int], None]
) -> SplitState:
    """Read the tracks `names` of a split whole, and return the state of the split."""
    damaged = {}
    for done, name in enumerate(names):
        report_progress(split, done, len(names))
        try:
            track = corpus.load(split, name)
            for target in TARGETS:
                _ = track.references[target]
        except BenchError as error:
            damaged[name] = str(error)
    missing = sorted(set(corpus.KNOWN.get(split, ())) - set(names))
    n_unlabelled = sum(not corpus.label_fingerprint(name) for name in names) if corpus.LABELS else 0
    return SplitState(split, corpus.FULL_SIZES.get(split), names, missing, damaged, n_unlabelled)
