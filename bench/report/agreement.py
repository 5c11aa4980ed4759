"""Do the measures agree? Kendall's rank correlation of every two of them over a report's rows.

A correlation of 1 means that two measures put all rows in the same order, -1 in the opposite one;
rows that are equal under one of them count for neither (tau-b; Kendall, Biometrika 33, 1945).
Distances count with their sign changed, so that all measures put the best row first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import scipy

from bench.report.table import Part
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import merit, metric_name

#: Fewer rows than these are put in the same order by chance too often.
FEWEST_ROWS = 8


@dataclass(frozen=True)
class Agreement:
    """How far the measures of a target agree on the order of the rows.

    Attributes
    ----------
    target
        Name of the target.
    names
        The measures; with their protocol where several have one of that name.
    tau
        Kendall's correlation of each two measures, the first of them first in `names`.
    n_opposed
        Number of pairs of rows that each two measures put in opposite orders.
    n_rows
        Number of rows: those that are ranked and have a finite value under every measure.
    """

    target: str
    names: Sequence[str]
    tau: Mapping[tuple[str, str], float]
    n_opposed: Mapping[tuple[str, str], int]
    n_rows: int

    @property
    def sentence(self) -> str:
        """Which two measures agree least, in words."""
        if not any(self.n_opposed.values()):
            return f"All measures put the {self.n_rows} ranked rows in the same order."
        least = min(self.tau.values())
        first, *others = (pair for pair, tau in self.tau.items() if tau == least)
        n_pairs = math.comb(self.n_rows, 2)
        text = (
            f"{' and '.join(first)} agree least: they put {self.n_opposed[first]} of {n_pairs} "
            "pairs of rows in opposite orders."
        )
        return text + "".join(f" So do {' and '.join(pair)}." for pair in others)


def measure_name(tables: ReportTables, part: Part, metric: str) -> str:
    """Return a metric's name; with its protocol where another table has one of the same name."""
    shared = any(part.protocol != p.protocol and metric in p.metrics for p in tables.parts)
    return metric_name(metric) + (f" ({part.protocol})" if shared else "")


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Kendall's correlation of two measures; NaN where one of them has one value alone."""
    return float(scipy.stats.kendalltau(one, other).statistic)


def agreements(tables: ReportTables) -> list[Agreement]:
    """Return how far the measures of each target agree.

    A target with one measure, or with fewer than `FEWEST_ROWS` rows that are finite under all of
    them, is left out.
    """
    by_target: dict[str, dict[str, dict[str, float]]] = {}
    for part in tables.parts:
        measures = by_target.setdefault(part.target, {})
        for metric in part.metrics:
            measures[measure_name(tables, part, metric)] = {
                line.row.label: merit(metric) * line.entries[metric].value
                for line in part.lines
                if line.row.ranked and math.isfinite(line.entries[metric].value)
            }
    return [
        agreement
        for target, measures in by_target.items()
        if (agreement := _agreement(target, measures)) is not None
    ]


def _agreement(target: str, measures: Mapping[str, Mapping[str, float]]) -> Agreement | None:
    """Return the agreement of measures, each a value by row; see `agreements`."""
    first, *others = measures.values()
    rows = [label for label in first if all(label in values for values in others)]
    if not others or len(rows) < FEWEST_ROWS:
        return None
    tau = {
        (one, other): kendall(
            [measures[one][row] for row in rows], [measures[other][row] for row in rows]
        )
        for one, other in itertools.combinations(measures, 2)
    }
    known = {pair: value for pair, value in tau.items() if math.isfinite(value)}
    n_opposed = {
        (one, other): sum(
            (measures[one][a] - measures[one][b]) * (measures[other][a] - measures[other][b]) < 0
            for a, b in itertools.combinations(rows, 2)
        )
        for one, other in known
    }
    return Agreement(target, list(measures), known, n_opposed, len(rows)) if known else None
