"""The cost of each method: time of training, speed of separation, and memory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.numbers import NOTHING
from bench.report.tabulate import ReportTables

#: Headings of the table of cost; a column that no row fills is left out.
COLUMNS = (
    "Parameters",
    "Training",
    "Real-time factor",
    "Memory, training",
    "Memory, separation",
    "Precision of the training",
)
#: Those of them that hold words, set from the left; all others hold numbers.
COLUMNS_OF_WORDS = ("Precision of the training",)
CAPTION = (
    "Medians over seeds. Times depend on what else the machine did. Real-time factor: seconds of "
    "separation per second of audio, in one process on the device that the provenance names. "
    "Memory: the largest resident memory of the process, sampled. "
    f"{NOTHING}: nothing to train, or not measured."
)


@dataclass(frozen=True)
class Cost:
    """The cost of a row, medians over its seeds; None where it was not measured.

    Attributes
    ----------
    fit_s
        Seconds of training; None too for a method that learns nothing.
    real_time_factor
        Seconds of separation for a second of audio.
    fit_bytes, separate_bytes
        Largest memory of the process while it trained, and while it separated and scored.
    precision
        Precision of the products in training, such as ``bfloat16``; None where it was not noted.
    parameters
        Number of trained parameters; None for a method without, or where it was not noted.
    """

    row: str
    fit_s: float | None
    real_time_factor: float | None
    fit_bytes: float | None
    separate_bytes: float | None
    precision: str | None
    parameters: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Its entries in the table, one for each of `COLUMNS`."""
        factor = NOTHING if self.real_time_factor is None else f"{self.real_time_factor:.3g}"
        n = NOTHING if self.parameters is None else f"{self.parameters / 1e6:.3g} M"
        sizes = _size(self.fit_bytes), _size(self.separate_bytes)
        return n, _duration(self.fit_s), factor, *sizes, self.precision or NOTHING


def costs(tables: ReportTables) -> list[Cost]:
    """Return the cost of each row that is done, in the order of the table."""
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for outcome in tables.results.outcomes:
        facts = outcome.facts.get(next(iter(outcome.cell.protocols)), {})
        by_row.setdefault(outcome.cell.row, []).append(facts)
    return [_cost(row.label, by_row[row.label]) for row in tables.rows if row.status == "done"]


def cost_table(rows: Sequence[Cost]) -> list[list[str]]:
    """Return the table of cost: its heading, then each row; empty where nothing was measured.

    Rows of which nothing was measured, such as imported scores, and such columns are left out.
    """
    measured = [row for row in rows if set(row.texts) != {NOTHING}]
    if not measured:
        return []
    columns = zip(COLUMNS, *(row.texts for row in measured), strict=True)
    filled = [column for column in columns if set(column[1:]) != {NOTHING}]
    labels = ["Method", *(row.row for row in measured)]
    return [list(entries) for entries in zip(labels, *filled, strict=True)]


def _cost(label: str, seeds: Sequence[Mapping[str, Any]]) -> Cost:
    """Return the cost of a row from the facts that are kept with the scores of each seed."""
    fits = [facts.get("fit", {}) for facts in seeds]
    factors = [
        facts["separate_s"] / facts["audio_s"]
        for facts in seeds
        if facts.get("separate_s") is not None and facts.get("audio_s")
    ]
    return Cost(
        label,
        _median([fit.get("fit_s") for fit in fits]),
        _median(factors),
        _median([fit.get("peak_bytes") for fit in fits]),
        _median([facts.get("peak_bytes") for facts in seeds]),
        ", ".join(sorted({fit["precision"] for fit in fits if "precision" in fit})) or None,
        _median([fit.get("parameters") for fit in fits]),
    )


def _median(values: Sequence[Any]) -> float | None:
    """Return the median of the values that are not None, or None."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _duration(seconds: float | None) -> str:
    """Return a duration in seconds, minutes or hours, as text.

    Examples
    --------
    >>> _duration(4.21), _duration(59.97), _duration(61), _duration(7199), _duration(None)
    ('4.2 s', '1 min 0 s', '1 min 1 s', '2 h 0 min', '–')
    """
    if seconds is None:
        return NOTHING
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        return "{} min {} s".format(*divmod(round(seconds), 60))
    return "{} h {} min".format(*divmod(round(seconds / 60), 60))


def _size(n_bytes: float | None) -> str:
    """Return an amount of memory in MiB or GiB, as text.

    Examples
    --------
    >>> _size(734003200), _size(3 * 2**30), _size(None)
    ('700 MiB', '3.0 GiB', '–')
    """
    if n_bytes is None:
        return NOTHING
    mebi = n_bytes / 2**20
    return f"{mebi:.0f} MiB" if mebi < 1000 else f"{mebi / 1024:.1f} GiB"
