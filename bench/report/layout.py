"""The layout of an experiment's tables: rows, columns and grids, with rounded and ranked numbers.

The best value of a column and the second are marked among the methods; bounds and imported scores
are set apart and never ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.report.aggregates import not_recovered
from bench.report.numbers import NOTHING, in_unit, interval_text, rounded
from bench.report.rows import GROUP_TITLES, Row
from bench.report.statistics import ALPHA
from bench.report.table import SET_APART, Entry, Grid, Line, Part
from bench.scoring.aggregate import from_best, metric_name
from bench.scoring.protocols import PROTOCOLS
from bench.store.results import Results


def table_parts(
    results: Results,
    rows: Sequence[Row],
    aggregates: pd.DataFrame,
    units: Mapping[tuple[str, str], str],
) -> list[Part]:
    """Return the tables of an experiment, one for protocols that agree in every value.

    Parameters
    ----------
    results
        The experiment and the outcomes of its cells.
    rows
        Its rows.
    aggregates
        The numbers of each row, from `bench.report.aggregates.aggregates`.
    units
        By protocol and target, what intervals are over; see `bench.report.table.Part`.
    """
    experiment = results.experiment
    of_target: dict[str, list[Part]] = {}
    for protocol in experiment.protocols:
        for target in experiment.table.targets:
            numbers = aggregates[
                (aggregates["protocol"] == protocol) & (aggregates["target"] == target)
            ]
            part = _part(results, rows, numbers, protocol, target, units[protocol, target])
            parts = of_target.setdefault(target, [])
            twin = next((i for i, other in enumerate(parts) if _agree(part, other)), None)
            if twin is None:
                parts.append(part)
            else:
                parts[twin] = _folded(parts[twin], part)
    in_order = [part for parts in of_target.values() for part in parts]
    return sorted(in_order, key=lambda part: experiment.protocols.index(part.protocol))


def _part(
    results: Results,
    rows: Sequence[Row],
    numbers: pd.DataFrame,
    protocol: str,
    target: str,
    unit: str,
) -> Part:
    """Return the table of one protocol and target, from its lines of ``rows.csv``."""
    experiment = results.experiment
    metrics = [str(metric) for metric in numbers["metric"].unique()]
    unread = {(row, metric) for row, t, metric in not_recovered(results) if t == target}
    published_metrics = []
    entries: dict[str, dict[str, Entry]] = {row.label: {} for row in rows}
    for metric in metrics:
        column = numbers[numbers["metric"] == metric].set_index("row")
        is_published = bool(column["published"].notna().any())
        is_published |= any(metric == unread_metric for _, unread_metric in unread)
        published_metrics += [metric] if is_published else []
        lines_of = column.to_dict("index")
        rank_of = _best_and_second(lines_of, rows, metric)
        for row in rows:
            line = lines_of[row.label]
            published = _published_text(line["published"], (row.label, metric) in unread)
            if row.published_note and published != NOTHING:
                published += SET_APART
            rank = rank_of.get(row.label, "")
            entries[row.label][metric] = _entry(line, rank, published if is_published else "")
    by_row = dict(list(numbers.groupby("row", sort=False)))
    lines = [Line(row, entries[row.label], _tracks(by_row[row.label], row)) for row in rows]
    grids = [_grid(results, metric, entries) for metric in metrics]
    several = len(experiment.protocols) > 1
    corpus = results.corpus
    tracks = f"{corpus['title']}, {corpus['n_test']} of {corpus['n_full']} test tracks"
    return Part(
        protocol,
        target,
        target.capitalize() + (f", {protocol}" if several else ""),
        f"{target.capitalize()}, {tracks}. {PROTOCOLS[protocol].description}{in_unit(metrics)}",
        tracks,
        metrics,
        _ordered(lines, metrics[0], experiment.table.rows == "ranked"),
        published_metrics,
        unit,
        [grid for grid in grids if grid is not None],
    )


def _agree(one: Part, other: Part) -> bool:
    """Tell whether two tables of one target print the same, but for numbers that do not exist."""
    printed, compared = _printed(one), _printed(other)
    return len(printed) == len(compared) and all(
        a == b or (a[:2] == b[:2] and not a[2] and not b[2])
        for a, b in zip(printed, compared, strict=True)
    )


def _printed(part: Part) -> list[tuple[str, str, bool, str]]:
    """Return what a table prints: row, metric, whether the number is finite, and its text."""
    return [
        (
            line.row.label,
            metric,
            math.isfinite(e.value),
            f"{e.text} {e.interval} {e.rank} {e.close} {e.published} {line.tracks}",
        )
        for line in part.lines
        for metric, e in line.entries.items()
    ]


def _folded(part: Part, other: Part) -> Part:
    """Return a table that stands for another protocol too; see `_agree`."""
    apart = [
        f"{metric_name(metric)} of {line.row.label} ({twin.entries[metric].text})"
        for line, twin in zip(part.lines, other.lines, strict=True)
        for metric, entry in line.entries.items()
        if twin.entries[metric].text != entry.text
    ]
    exceptions = f" but for {', '.join(apart)}" if apart else ""
    return replace(
        part,
        title=f"{part.title} and {other.protocol}",
        caption=f"{part.caption}; {other.protocol} gives the same values{exceptions}",
    )


def _entry(line: Mapping[Any, Any], rank: str, published: str) -> Entry:
    """Return a line of ``rows.csv`` as a table shows it."""
    if line["status"] not in ("done", "undefined", "infinite"):
        return Entry(line["status"], math.nan, published=published)
    return Entry(
        rounded(line["value"], line["spread"]),
        line["value"],
        line["spread"],
        interval_text(line["low"], line["high"]),
        interval_text(line["low_singers"], line["high_singers"]),
        rank,
        bool(line["p_best"] >= ALPHA or line["p_best_trainings"] >= ALPHA),
        line["p_best"],
        line["p_best_trainings"],
        published,
    )


def _best_and_second(
    column: Mapping[Any, Mapping[Any, Any]], rows: Sequence[Row], metric: str
) -> dict[str, str]:
    """Return which rows are best and second in a column, by their numbers as printed."""
    values = {
        row.label: column[row.label]["value"]
        for row in rows
        if row.ranked and not math.isnan(column[row.label]["value"])
    }
    in_order = sorted(values.values(), key=lambda value: from_best(metric, value))
    printed = list(dict.fromkeys(rounded(v) for v in in_order))
    names = dict(zip(printed, ("best", "second"), strict=False))
    return {label: names[rounded(v)] for label, v in values.items() if rounded(v) in names}


def _tracks(numbers: pd.DataFrame, row: Row) -> str:
    """Return on how many tracks and windows a row rests, and how many scores are undefined."""
    if row.status != "done":
        return NOTHING
    n_tracks, n_scores = int(numbers["n_tracks"].max()), int(numbers["n_scores"].max())
    text = str(n_tracks) + (f", {n_scores} windows" if n_scores > n_tracks else "")
    n_undefined = int(numbers["n_undefined"].max())
    return text + (f" ({n_undefined} undefined)" if n_undefined else "")


def _published_text(value: float, is_unread: bool) -> str:
    """Return a published value as text."""
    if is_unread:
        return "not recovered"
    return NOTHING if math.isnan(value) else rounded(value)


def _ordered(lines: Sequence[Line], metric: str, by_value: bool) -> list[Line]:
    """Return lines by group, within one as in the file or from the best value of a metric."""

    def place(line: Line) -> tuple[int, float]:
        order = from_best(metric, line.entries[metric].value) if by_value else 0.0
        return list(GROUP_TITLES).index(line.row.group), order

    ordered: list[Line] = []
    for line in sorted(lines, key=place):
        group = line.row.group
        starts = not ordered or ordered[-1].row.group != group
        ordered.append(replace(line, starts_group=GROUP_TITLES[group] if starts else ""))
    return ordered


def _grid(results: Results, metric: str, entries: Mapping[str, Mapping[str, Entry]]) -> Grid | None:
    """Return the grid of one metric; see `bench.plan.experiment.Pivot`. None without a pivot."""
    pivot = results.experiment.table.pivot
    if pivot is None:
        return None
    values = {outcome.cell.row: outcome.cell.hyperparameters for outcome in results.outcomes}
    places, labels = {}, set()
    for method in results.experiment.methods:
        for label, _ in method.variants():
            place = results.experiment.pivot_place(method, values.get(label, {}))
            if place is not None:
                places[place] = entries[label][metric]
                labels.add(label)
    rows, columns = (list(dict.fromkeys(place[i] for place in places)) for i in (0, 1))
    row_name, column_name = (
        results.experiment.symbol(name) for name in (pivot.rows, pivot.columns)
    )
    return Grid(metric, rows, columns, row_name, column_name, places, frozenset(labels))
