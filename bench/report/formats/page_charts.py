"""The charts of a page, with what they show in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.report.curves import FigureData
from bench.report.numbers import decibels, metric_name, p_value
from bench.report.plots import charts
from bench.report.rows import Row
from bench.report.statistics import Ranks, ranks
from bench.report.table import Part
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import OVER_TRACKS
from bench.store.results import Results

#: More rows than these make a critical-difference diagram that nobody can read.
_MOST_RANKED = 20


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows in words."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class PartCharts:
    """The charts of one table: scores by track, and ranks where several rows can be ranked."""

    title: str
    distributions: Sequence[Chart]
    diagrams: Sequence[Chart]


def part_charts(tables: ReportTables, part: Part, n: int) -> PartCharts:
    """Return the charts of a table, the n-th of its page."""
    tracks = tables.tracks[part.protocol, part.target]
    rows = {row.label: row for row in tables.rows if row.status == "done"}
    own = {over: metric for metric, over in OVER_TRACKS[part.protocol][1].items()}
    distributions, diagrams = [], []
    for m, metric in enumerate(part.metrics):
        values = {k: tracks[k, metric].over_seeds for k in rows if (k, metric) in tracks}
        if values:
            distributions.append(_distribution(values, rows, own[metric], f"d{n}{m}"))
        ranked_rows = {k: v for k, v in values.items() if rows[k].ranked and not np.isnan(v).all()}
        songs = list(dict.fromkeys(s for k in ranked_rows for s in tracks[k, metric].songs))
        compared = {k: tracks[k, metric].on(songs) for k in ranked_rows}
        ranked = ranks(compared) if 2 < len(compared) <= _MOST_RANKED else None
        if ranked:
            diagrams.append(_diagram(ranked, own[metric], f"c{n}{m}"))
    return PartCharts(_title(tables.results, part), distributions, diagrams)


def _title(results: Results, part: Part) -> str:
    """Return a table's title: its target, and the protocol where there are several."""
    several = len(results.experiment.protocols) > 1
    return part.target.capitalize() + (f", {part.protocol}" if several else "")


def _distribution(
    values: Mapping[str, NDArray[np.float64]], rows: Mapping[str, Row], metric: str, prefix: str
) -> Chart:
    """Return the chart of a metric's scores by track."""
    name = f"{metric_name(metric)} (dB)"
    groups = {label: rows[label].group for label in values}
    svg = charts.distributions(values, groups, name)
    n_left_out = {label: int((~np.isfinite(scores)).sum()) for label, scores in values.items()}
    left_out = ", ".join(f"{label} {n}" for label, n in n_left_out.items() if n)
    medians = ", ".join(
        f"{label} {decibels(float(np.nanmedian(scores)))}"
        for label, scores in values.items()
        if not np.isnan(scores).all()
    )
    caption = f"{metric_name(metric)} by track."
    if left_out:
        caption += f" Not drawn, undefined or infinite: {left_out}."
    label = f"{metric_name(metric)} by track. Medians in dB: {medians}"
    return Chart(Markup(charts.inline(svg, prefix, label)), caption)  # noqa: S704 - escaped there


def _diagram(ranked: Ranks, metric: str, prefix: str) -> Chart:
    """Return the critical-difference diagram of a metric."""
    joined = "; ".join(", ".join(clique) for clique in ranked.cliques) or "none"
    caption = (
        f"{metric_name(metric)}: mean ranks over {ranked.n_songs} songs, 1 the best. A bar joins "
        f"methods that are not told apart (Wilcoxon, Holm over all pairs). Friedman's test: "
        f"p {p_value(ranked.friedman)}."
    )
    ranks_text = ", ".join(f"{label} {rank:.2f}" for label, rank in ranked.mean.items())
    label = f"Mean ranks in {metric_name(metric)}: {ranks_text}. Not told apart: {joined}."
    svg = charts.inline(charts.critical_difference(ranked), prefix, label)
    return Chart(Markup(svg), caption)  # noqa: S704 - escaped there


def inline_figure(data: FigureData, drawing: bytes) -> Chart:
    """Return the experiment's figure as part of the page."""
    names = ", ".join(metric_name(metric) for metric in data.metrics)
    what = f"against {data.symbol}" if data.symbol else "of each row"
    label = f"{names} of the {data.target} {what}; the sentences beside it say what it shows."
    caption = "Means, with 95 % intervals over seeds (Student's t)."
    svg = charts.inline(drawing, "f", label)
    return Chart(Markup(svg), caption)  # noqa: S704 - escaped there
