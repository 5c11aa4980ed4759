"""The numbers of a figure: the points of each metric, in the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.plan.experiment import Figure, without_value
from bench.report.tabulate import ReportTables
from bench.report.trainings import Trainings
from bench.scoring.aggregate import OverSeeds, over_seeds


@dataclass(frozen=True)
class Point:
    """One row of a table in a figure.

    Attributes
    ----------
    row
        Its label in the table.
    x
        The value of the swept hyperparameter, or the label where there is none.
    seeds
        For each metric the value of each seed, in the order of the seeds.
    training_keys
        What was trained with each seed; empty for a method that does not draw, whose one value is
        exact. See `bench.report.trainings.Trainings`.
    """

    row: str
    x: Any
    seeds: Mapping[str, Sequence[float]]
    training_keys: Sequence[str] = ()

    @property
    def is_stochastic(self) -> bool:
        """Whether its method draws at random."""
        return bool(self.training_keys)

    def trainings(self, metric: str) -> Trainings:
        """Return the value of a metric for each training."""
        return Trainings(self.seeds[metric], self.training_keys)

    def over_seeds(self, metric: str) -> OverSeeds:
        """Return mean, spread and interval of a metric."""
        return over_seeds(self.seeds[metric])


@dataclass(frozen=True)
class Curve:
    """The points of one method, by the swept hyperparameter where there is one."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True)
class FigureData:
    """The numbers of an experiment's figure.

    Attributes
    ----------
    curves
        Without any point as long as nothing is done.
    metrics
        Names of the metrics, one a panel.
    symbol
        How the swept hyperparameter is written; empty where rows are compared.
    target
        The target that was scored.
    """

    curves: Sequence[Curve]
    metrics: Sequence[str]
    symbol: str
    target: str

    @property
    def points(self) -> list[Point]:
        """All points, in the order of the table."""
        return [point for curve in self.curves for point in curve.points]


def figure_data(tables: ReportTables, figure: Figure) -> FigureData:
    """Return the numbers of a figure: the table's first protocol, target and its metrics.

    With ``figure.over`` a curve for each method and combination of its other swept values;
    without, one curve of all rows. Rows that are not done, and bounds, are left out.
    """
    experiment, over = tables.results.experiment, figure.over
    protocol, target = experiment.protocols[0], experiment.table.targets[0]
    metrics = experiment.metrics(protocol)
    seeds = tables.seeds
    seeds = seeds[(seeds["protocol"] == protocol) & (seeds["target"] == target)]
    by_row = dict(list(seeds.groupby("row", sort=False)))
    done = {row.label: row for row in tables.rows if row.status == "done" and row.ranked}
    curves: dict[str, list[Point]] = {}
    for entry in experiment.methods:
        for label, hyperparameters in entry.variants():
            is_scored = label in done and label in by_row  # external scores may have no pitch
            if not is_scored or (over and over not in entry.sweep):
                continue
            others = [f"{k} = {hyperparameters[k]}" for k in entry.sweep if k != over]
            curve = ", ".join([without_value(entry.label, over), *others]) if over else ""
            row = by_row[label].sort_values("seed")
            values = {m: row[row["metric"] == m]["value"].to_list() for m in metrics}
            x = hyperparameters[over] if over else label
            curves.setdefault(curve, []).append(Point(label, x, values, done[label].training_keys))
    return FigureData(
        [Curve(label, ordered(points)) for label, points in curves.items()],
        metrics,
        figure.symbol or over,
        target,
    )


def ordered(points: Sequence[Point]) -> Sequence[Point]:
    """Return points by the number on their x axis, or as they are where it has no numbers."""
    if all(isinstance(point.x, int | float) for point in points):
        return sorted(points, key=lambda point: point.x)
    return points
