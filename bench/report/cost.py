"""What each method costs: training time, how fast it separates, and the memory it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.rows import table_rows
from bench.report.table import NOTHING
from bench.store.results import Results


@dataclass(frozen=True)
class Cost:
    """What a row cost, means over its seeds; None where it was not measured.

    Attributes
    ----------
    fit_s
        Seconds of training; None too for a method that learns nothing.
    real_time_factor
        Seconds of separation a second of audio.
    fit_bytes, separate_bytes
        Largest memory of the process while it trained, and while it separated and scored.
    """

    row: str
    fit_s: float | None
    real_time_factor: float | None
    fit_bytes: float | None
    separate_bytes: float | None

    @property
    def texts(self) -> tuple[str, str, str, str]:
        """Its numbers as the table shows them."""
        factor = NOTHING if self.real_time_factor is None else f"{self.real_time_factor:.3g}"
        return duration(self.fit_s), factor, size(self.fit_bytes), size(self.separate_bytes)


def costs(results: Results) -> list[Cost]:
    """Return the cost of each row that is done, in the order of the table."""
    made = []
    for row in table_rows(results):
        mine = [
            outcome.facts.get(next(iter(outcome.cell.protocols)), {})
            for outcome in results.outcomes
            if outcome.cell.row == row.label
        ]
        if row.status != "done":
            continue
        fits = [facts.get("fit", {}) for facts in mine]
        factors = [
            facts["separate_s"] / facts["audio_s"]
            for facts in mine
            if facts.get("separate_s") is not None and facts.get("audio_s")
        ]
        made.append(
            Cost(
                row.label,
                mean([fit.get("fit_s") for fit in fits]),
                mean(factors),
                mean([fit.get("peak_bytes") for fit in fits]),
                mean([facts.get("peak_bytes") for facts in mine]),
            )
        )
    return made


def mean(values: Sequence[Any]) -> float | None:
    """Return the mean of the values that are there, or None."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def duration(seconds: float | None) -> str:
    """Return a duration for the eye.

    Examples
    --------
    >>> duration(4.21), duration(61), duration(3725), duration(None)
    ('4.2 s', '1 min 1 s', '1 h 2 min', '–')
    """
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def size(n_bytes: float | None) -> str:
    """Return an amount of memory for the eye.

    Examples
    --------
    >>> size(734003200), size(3 * 2**30), size(None)
    ('700 MiB', '3.0 GiB', '–')
    """
    if n_bytes is None:
        return NOTHING
    mebi = n_bytes / 2**20
    return f"{mebi:.0f} MiB" if mebi < 1000 else f"{mebi / 1024:.1f} GiB"
