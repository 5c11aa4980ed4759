"""The charts of a page, with what they show in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.report.aggregates import trainings_of
from bench.report.cost import Cost
from bench.report.curves import FigureData
from bench.report.numbers import axis_name, heading, in_unit, p_value, rounded
from bench.report.plots import charts
from bench.report.rows import Row
from bench.report.statistics import ALPHA, Ranks, ranks
from bench.report.table import Part
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import merit, metric_name, metric_of_track

#: Up to this number of rows a critical-difference diagram can be read; beyond, a matrix of pairs.
_MOST_IN_DIAGRAM = 10
#: Beyond this number of rows a matrix of pairs cannot be read either.
_MOST_IN_MATRIX = 30
#: With fewer sizes of network than this there is no picture of quality against cost.
_FEWEST_SIZES = 3


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows in words."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class PairMatrix:
    """All pairs of the rows of a table under one metric.

    Attributes
    ----------
    metric, caption
        The metric's name, and what the matrix shows in words.
    labels
        The rows in the order of their mean ranks.
    pairs
        For each row, and each that comes after it: the difference of their means as text, and
        whether the two are told apart.
    """

    metric: str
    caption: str
    labels: Sequence[str]
    pairs: Sequence[Sequence[tuple[str, bool]]]


@dataclass(frozen=True)
class PartCharts:
    """The charts of one table: scores by track, and how rows compare where several are ranked."""

    title: str
    distributions: Chart | None
    diagrams: Sequence[Chart]
    matrices: Sequence[PairMatrix]


def part_charts(tables: ReportTables, part: Part, n: int) -> PartCharts:
    """Return the charts of a table, the n-th of its page."""
    part_key = part.protocol, part.target
    tracks = tables.tracks[part_key]
    rows = {row.label: row for row in tables.rows if row.status == "done"}
    diagrams, matrices, scores = [], [], {}
    for m, metric in enumerate(part.metrics):
        own = metric_of_track(part.protocol, metric)
        values = {k: tracks[k, metric].seed_mean for k in rows if (k, metric) in tracks}
        scores[own] = values
        ranked_rows = {k: v for k, v in values.items() if rows[k].ranked and not np.isnan(v).all()}
        songs = list(dict.fromkeys(s for k in ranked_rows for s in tracks[k, metric].songs))
        compared = {k: tracks[k, metric].means_on(songs) for k in ranked_rows}
        ranked = None
        if 2 < len(compared) <= _MOST_IN_MATRIX:
            of_trainings = trainings_of(list(rows.values()), tables.seeds, *part_key, metric)
            ranked = ranks(compared, of_trainings, merit(metric))
        if ranked and len(ranked.mean_rank) <= _MOST_IN_DIAGRAM:
            diagrams.append(_diagram(ranked, own, part.unit, f"c{n}{m}"))
        elif ranked:
            matrices.append(_matrix(ranked, own, part.unit))
    return PartCharts(part.title, _distributions(scores, rows, f"d{n}"), diagrams, matrices)


def _distributions(
    scores: Mapping[str, Mapping[str, NDArray[np.float64]]], rows: Mapping[str, Row], prefix: str
) -> Chart | None:
    """Return the chart of the scores by track, by metric and row; None where there are none."""
    of_any = [label for label in rows if any(label in values for values in scores.values())]
    if not of_any:
        return None
    names = ", ".join(map(metric_name, scores))
    svg = charts.distributions(
        {axis_name(metric): values for metric, values in scores.items()},
        {label: rows[label].group for label in of_any},
    )
    caption, medians = f"{names} by track.", []
    for metric, values in scores.items():
        n_left_out = {label: int((~np.isfinite(v)).sum()) for label, v in values.items()}
        left_out = ", ".join(f"{label} {n}" for label, n in n_left_out.items() if n)
        if left_out:
            caption += f" {metric_name(metric)}, undefined or infinite and not drawn: {left_out}."
        of_rows = ", ".join(
            f"{label} {rounded(float(np.nanmedian(v)))}"
            for label, v in values.items()
            if not np.isnan(v).all()
        )
        medians.append(f"Medians of {metric_name(metric)}{in_unit([metric])}: {of_rows}.")
    label = f"{names} by track. {' '.join(medians)}"
    return Chart(Markup(charts.inline(svg, prefix, label)), caption)  # noqa: S704 - escaped there


def _when_told_apart(ranked: Ranks, unit: str) -> str:
    """Return a sentence on the tests by which two rows are told apart."""
    tests = f"the test over {unit} finds"
    if ranked.tests_trainings:
        tests = f"the tests over {unit} and over trainings both find"
    return (
        f"Two are told apart if {tests} a difference (Holm's adjustment over all pairs, level "
        f"{ALPHA}). "
    )


def _diagram(ranked: Ranks, metric: str, unit: str, prefix: str) -> Chart:
    """Return the critical-difference diagram of a metric."""
    joined = "; ".join(", ".join(clique) for clique in ranked.cliques) or "none"
    caption = (
        f"{metric_name(metric)}: mean ranks over {ranked.n_songs} {unit}, 1 the best. A bar joins "
        f"methods that are not told apart. {_when_told_apart(ranked, unit)}{_untested(ranked)}"
        f"Friedman's test: p {p_value(ranked.friedman)}."
    )
    ranks_text = ", ".join(f"{label} {rank:.2f}" for label, rank in ranked.mean_rank.items())
    label = f"Mean ranks in {metric_name(metric)}: {ranks_text}. Not told apart: {joined}."
    svg = charts.inline(charts.critical_difference(ranked), prefix, label)
    return Chart(Markup(svg), caption)  # noqa: S704 - escaped there


def _matrix(ranked: Ranks, metric: str, unit: str) -> PairMatrix:
    """Return the matrix of all pairs of rows of a metric."""
    labels = list(ranked.mean_rank)
    n_apart = sum(p < ALPHA for p in ranked.p_values.values())
    n_tested = sum(not math.isnan(p) for p in ranked.p_values.values())
    caption = (
        f"{metric_name(metric)}: all pairs of methods, in the order of their mean ranks over "
        f"{ranked.n_songs} {unit}. A number is the mean of the method on its left less that of the "
        f"method of its column{in_unit([metric])}. Shaded: told apart; {n_apart} of {n_tested} "
        f"pairs are. {_when_told_apart(ranked, unit)}{_untested(ranked)}"
        f"Friedman's test: p {p_value(ranked.friedman)}."
    )
    pairs = [
        [
            (
                rounded(ranked.mean_score[one] - ranked.mean_score[other]),
                ranked.p_values[one, other] < ALPHA,
            )
            for other in labels[i + 1 :]
        ]
        for i, one in enumerate(labels)
    ]
    return PairMatrix(metric_name(metric), caption, labels, pairs)


def _untested(ranked: Ranks) -> str:
    """Return a sentence on pairs that are not tested; empty where all are."""
    if not any(math.isnan(p) for p in ranked.p_values.values()):
        return ""
    return "Rows of one training each are not tested against each other. "


def overview_chart(tables: ReportTables) -> Chart | None:
    """Return the first picture of a page: the rows of its first table; None where none is done."""
    part = tables.parts[0]
    numbers = tables.aggregates
    numbers = numbers[(numbers["protocol"] == part.protocol) & (numbers["target"] == part.target)]
    done = [line.row for line in part.lines if line.row.status == "done"]
    if not done:
        return None
    columns = ["value", "low", "high", "published"]
    places = {
        axis_name(metric): {
            label: charts.RowPlace(*map(float, values))
            for label, *values in numbers[numbers["metric"] == metric][["row", *columns]].to_numpy()
        }
        for metric in part.metrics
    }
    names = ", ".join(map(metric_name, part.metrics))
    caption = f"{part.title}: {names} with 95 % intervals over {part.unit}."
    if part.published_metrics:
        caption += (
            f" Diamonds: published values. Where those are of the same {part.unit}, the interval "
            "says nothing of the distance to a diamond."
        )
    svg = charts.overview(places, {row.label: row.group for row in done})
    label = f"{names} of the {part.target} of each row; the tables below hold the numbers."
    return Chart(Markup(charts.inline(svg, "o", label)), caption)  # noqa: S704 - escaped there


def trade_off_chart(tables: ReportTables, costs: Sequence[Cost]) -> Chart | None:
    """Return the picture of quality against cost; None for fewer than three sizes of network.

    Parameters
    ----------
    tables
        The tables of the experiment.
    costs
        The cost of each row.
    """
    part = tables.parts[0]
    metric = part.metrics[0]
    value = {line.row.label: line.entries[metric].value for line in part.lines}
    networks = [
        cost for cost in costs if cost.parameters and cost.fit_s and math.isfinite(value[cost.row])
    ]
    if len({cost.parameters for cost in networks}) < _FEWEST_SIZES:
        return None
    axes = {
        "parameters (millions)": {c.row: (c.parameters or 0) / 1e6 for c in networks},
        "training (minutes)": {c.row: (c.fit_s or 0) / 60 for c in networks},
        "real-time factor": {c.row: c.real_time_factor or 0 for c in networks},
    }
    svg = charts.trade_offs(axes, {c.row: value[c.row] for c in networks}, heading(metric))
    caption = (
        f"{part.title}: {metric_name(metric)} of each trained network against its size, the time "
        "of its training and that of its separation. The axes of cost are logarithmic."
    )
    return Chart(Markup(charts.inline(svg, "q", caption)), caption)  # noqa: S704 - escaped there


def track_pairs(tables: ReportTables, part: Part) -> dict[str, Any] | None:
    """Return the scores by track of a table's first metric, for a chart of two rows.

    Returns
    -------
    dict
        ``metric``, ``axis`` (with its unit), ``tracks``, ``rows``: for each row its scores to two
        decimals, None where not finite; and ``first``, the two rows to begin with. None where fewer
        than two rows have scores of the same tracks.
    """
    tracks, metric = tables.tracks[part.protocol, part.target], part.metrics[0]
    done = [
        line
        for line in part.lines
        if line.row.status == "done" and (line.row.label, metric) in tracks
    ]
    if len(done) < 2:
        return None
    names = tracks[done[0].row.label, metric].names
    rows = {
        line.row.label: [
            round(float(score), 2) if math.isfinite(score) else None
            for score in tracks[line.row.label, metric].seed_mean
        ]
        for line in done
        if tracks[line.row.label, metric].names == names
    }
    finite = [line for line in done if math.isfinite(line.entries[metric].value)]
    ranked = sorted(
        (line for line in finite if line.row.label in rows and line.row.ranked),
        key=lambda line: -merit(metric) * line.entries[metric].value,
    )
    first = [line.row.label for line in ranked[:2]]
    if len(first) < 2:
        return None
    own = metric_of_track(part.protocol, metric)
    return {
        "metric": metric_name(own),
        "axis": axis_name(own),
        "tracks": names,
        "rows": rows,
        "first": first,
    }


def inline_figure(data: FigureData, drawing: bytes) -> Chart:
    """Return the experiment's figure as part of the page."""
    names = ", ".join(metric_name(metric) for metric in data.metrics)
    what = f"against {data.symbol}" if data.symbol else "of each row"
    label = f"{names} of the {data.target} {what}; the sentences beside it say what it shows."
    caption = "Means, with 95 % intervals over seeds (Student's t)."
    svg = charts.inline(drawing, "f", label)
    return Chart(Markup(svg), caption)  # noqa: S704 - escaped there
