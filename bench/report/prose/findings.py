"""The findings of a figure: sentences made from its numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from bench.report.curves import Curve, FigureData, Point
from bench.report.numbers import better_side, ends, rounded, unit_of
from bench.report.statistics import ALPHA
from bench.report.trainings import p_value_of_trainings
from bench.scoring.aggregate import merit, metric_name


def findings(data: FigureData) -> list[str]:
    """Return the findings: one a curve and metric, or one a metric where rows are compared.

    A row whose mean is not finite is left out and named at the end of the sentence.
    """
    if not data.symbol:
        return list(_comparisons(data.points, data.metrics))
    return [
        f"{curve.label}: {line}"
        for curve in data.curves
        for line in _along(curve, data.metrics, data.symbol)
    ]


def _finite(points: Sequence[Point], metric: str) -> tuple[list[Point], str]:
    """Return the points with a finite mean of a metric, and a remark on the others."""
    finite = [point for point in points if math.isfinite(point.over_seeds(metric).mean)]
    others = [f"{p.x} ({_mean_text(p, metric)})" for p in points if p not in finite]
    return finite, f" Left out: {', '.join(others)}." if others else ""


def _comparisons(
    points: Sequence[Point], metrics: Sequence[str], symbol: str = ""
) -> Iterator[str]:
    """Yield the comparison of rows for each metric under which two of them have a finite mean."""
    for metric in metrics:
        finite, remark = _finite(points, metric)
        if len(finite) > 1:
            yield _comparison(finite, metric, symbol) + remark


def _along(curve: Curve, metrics: Sequence[str], symbol: str) -> Iterator[str]:
    """Yield a sentence for each metric: its values at both ends of a curve, and its trend."""
    if not all(isinstance(point.x, int | float) for point in curve.points):
        yield from _comparisons(curve.points, metrics, symbol)
        return
    for metric in metrics:
        points, remark = _finite(curve.points, metric)
        if len(points) < 2:
            continue
        means = [point.over_seeds(metric).mean for point in points]
        steps = [b - a for a, b in itertools.pairwise(means)]
        rises = sum(step > 0 for step in steps)
        one_seed = any(_is_one_training(point, metric) for point in points)
        if one_seed and means[-1] == means[0]:
            verb = "stays the same"
        elif one_seed:
            verb = "goes up" if means[-1] > means[0] else "goes down"
        elif not _apart(points[0], points[-1], metric):
            verb = "does not change beyond what the seeds explain"
        elif means[-1] > means[0]:
            verb = "rises" if rises == len(steps) else "rises on the whole"
        else:
            verb = "falls" if rises == 0 else "falls on the whole"
        best, second = _from_best(points, metric)[:2]
        is_apart = not one_seed and _apart(best, second, metric)
        best_end, _ = ends(metric)
        extreme = f"it is {best_end}" if is_apart else f"its {best_end} mean is"
        known = "; one training a point, so nothing is known of its spread" if one_seed else ""
        yield (
            f"{metric_name(metric)} {verb} as {symbol} goes from {points[0].x} to {points[-1].x}, "
            f"from {_mean_text(points[0], metric)} to {_mean_text(points[-1], metric)}"
            f"{unit_of(metric)} "
            f"({rises} of {len(steps)} steps up); {extreme} at {symbol} = {best.x} "
            f"({_mean_text(best, metric)}{unit_of(metric)}){known}.{remark}"
        )


def _comparison(points: Sequence[Point], metric: str, symbol: str = "") -> str:
    """Return which row is best in a metric, by how much, and whether seeds explain the gap."""
    ranked = _from_best(points, metric)
    first, second, last = ranked[0], ranked[1], ranked[-1]
    gap = abs(first.over_seeds(metric).mean - second.over_seeds(metric).mean)
    best_end, worst_end = ends(metric)
    side, unit = better_side(metric), unit_of(metric)
    is_apart = _apart(first, second, metric)
    if any(_is_one_training(point, metric) for point in (first, second)):
        verb, reliability = (
            f"has its {best_end} value",
            "one training, so nothing is known of its spread",
        )
    elif not (first.is_stochastic or second.is_stochastic):
        verb, reliability = f"is {best_end}", "neither draws at random"
    else:
        verb = f"is {best_end}" if is_apart else f"has its {best_end} mean"
        reliability = f"{'more' if is_apart else 'no more'} than the seeds explain"

    def name(point: Point) -> str:
        return f"{symbol} = {point.x}" if symbol else point.row

    return (
        f"{metric_name(metric)} {verb} for {name(first)} ({_mean_text(first, metric)}{unit}), "
        f"{rounded(gap)}{unit} {side} {name(second)} ({reliability}), and {worst_end} for "
        f"{name(last)} ({_mean_text(last, metric)}{unit})."
    )


def _from_best(points: Sequence[Point], metric: str) -> list[Point]:
    """Return points from the best mean of a metric to the worst."""
    return sorted(points, key=lambda point: -merit(metric) * point.over_seeds(metric).mean)


def _apart(one: Point, other: Point, metric: str) -> bool:
    """Tell whether two rows differ beyond what their seeds explain; see `bench.report.trainings`.

    Two rows without chance differ if their values do. Of one seed nothing is known.
    """
    if not (one.is_stochastic or other.is_stochastic):
        return one.over_seeds(metric).mean != other.over_seeds(metric).mean
    return p_value_of_trainings(one.trainings(metric), other.trainings(metric)) < ALPHA


def _is_one_training(point: Point, metric: str) -> bool:
    """Return whether nothing is known of the spread of a point: it draws, and has one seed."""
    return point.is_stochastic and len(point.seeds[metric]) < 2


def _mean_text(point: Point, metric: str) -> str:
    """Return a mean with its spread, as the table prints it."""
    over = point.over_seeds(metric)
    return rounded(over.mean, spread=over.spread)
