"""What a table shows, whatever it is written in: rows, columns, and each number as text.

Numbers are rounded here and only here, once, from the unrounded value. The best value of a column
and the second are marked among the methods; bounds and imported scores stand apart and are never
ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.report.rows import GROUPS, Row, not_recovered, table_rows
from bench.report.statistics import ALPHA
from bench.scoring.protocols import PROTOCOLS
from bench.store.results import Results

#: What stands for a number that is not there.
NOTHING = "–"
#: Stands behind a value that is not significantly different from the best.
CLOSE = "≈"


@dataclass(frozen=True)
class Entry:
    """A number of a table.

    Attributes
    ----------
    text
        Rounded, with its spread over seeds; or why there is none.
    value, spread
        Unrounded; NaN where there is none.
    interval
        The 95 % interval over tracks, empty where there is none.
    rank
        ``best``, ``second`` or empty.
    close
        Whether its difference from the best is not significant.
    p_best
        The adjusted p-value of that difference, NaN for none.
    published
        The published figure as text, empty where the table has no such column.
    """

    text: str
    value: float
    spread: float = math.nan
    interval: str = ""
    rank: str = ""
    close: bool = False
    p_best: float = math.nan
    published: str = ""

    @property
    def mean(self) -> str:
        """The value alone, without its spread."""
        return self.text.partition(" ±")[0]


@dataclass(frozen=True)
class Line:
    """A row of a table: an entry for each metric, and what its numbers rest on."""

    row: Row
    entries: Mapping[str, Entry]
    tracks: str
    starts_group: str = ""


@dataclass(frozen=True)
class Grid:
    """An ablation as a grid of one metric: entries by row and column, where something was run."""

    metric: str
    rows: Sequence[str]
    columns: Sequence[str]
    row_name: str
    column_name: str
    places: Mapping[tuple[str, str], Entry]


@dataclass(frozen=True)
class Part:
    """The table of one protocol and target."""

    protocol: str
    target: str
    caption: str
    metrics: Sequence[str]
    lines: Sequence[Line]
    has_published: bool
    grids: Sequence[Grid]

    @property
    def best(self) -> dict[str, str]:
        """The label of the best row of each metric."""
        return {
            m: x.row.label for x in self.lines for m, e in x.entries.items() if e.rank == "best"
        }


def number(value: float, spread: float = math.nan) -> str:
    """Return a value in dB with two decimals, and its spread over seeds where there is one.

    Examples
    --------
    >>> number(9.999), number(-0.001), number(float("inf")), number(float("nan"))
    ('10.00', '0.00', '∞', 'undefined')
    >>> number(7.452, spread=0.031)
    '7.45 ± 0.03'
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.2f}"
    text = "0.00" if text == "-0.00" else text.replace("-", "−")
    return text if math.isnan(spread) else f"{text} ± {spread:.2f}"


def between(low: float, high: float) -> str:
    """Return an interval as text, empty for none.

    Examples
    --------
    >>> between(-0.5, 1.234), between(float("nan"), float("nan"))
    ('[−0.50, 1.23]', '')
    """
    return "" if math.isnan(low) else f"[{number(low)}, {number(high)}]"


def metric_name(metric: str) -> str:
    """Return a metric as a heading shows it."""
    return metric.upper().replace("_", "-")


def caption(results: Results, protocol: str, target: str) -> str:
    """Return what a table shows: target, corpus, number of tracks, protocol."""
    corpus = results.corpus
    return (
        f"{target.capitalize()}, {corpus['title']}, {corpus['n_test']} of {corpus['n_full']} test "
        f"tracks. {PROTOCOLS[protocol].description}, in dB"
    )


def parts(results: Results, lines: pd.DataFrame) -> list[Part]:
    """Return the tables of an experiment.

    Parameters
    ----------
    results
        The experiment and its cells.
    lines
        Its rows, see `long_rows`.
    """
    experiment, rows = results.experiment, table_rows(results)
    unread = not_recovered(results)
    made = []
    for protocol in experiment.protocols:
        for target in experiment.table.targets:
            mine = lines[(lines["protocol"] == protocol) & (lines["target"] == target)]
            metrics = [str(metric) for metric in mine["metric"].unique()]
            unread_here = {(row, metric) for row, t, metric in unread if t == target}
            beside = bool(mine["published"].notna().any()) or bool(unread_here)
            found: dict[str, dict[str, Entry]] = {row.label: {} for row in rows}
            for metric in metrics:
                column = mine[mine["metric"] == metric].set_index("row").to_dict("index")
                places = ranked(column, rows)
                for row in rows:
                    value = column[row.label]
                    unknown = (row.label, metric) in unread_here
                    published = figure(value["published"], unknown) if beside else ""
                    found[row.label][metric] = entry(value, places.get(row.label, ""), published)
            table = [Line(row, found[row.label], tracks(mine, row), "") for row in rows]
            made.append(
                Part(
                    protocol,
                    target,
                    caption(results, protocol, target),
                    metrics,
                    ordered(table, metrics[0], experiment.table.rows == "ranked"),
                    beside,
                    [grid(results, metric, found) for metric in metrics if experiment.table.pivot],
                )
            )
    return made


def entry(value: Mapping[Any, Any], rank: str, published: str) -> Entry:
    """Return a number of ``rows.csv`` as a table shows it."""
    if value["status"] not in ("done", "undefined", "infinite"):
        return Entry(value["status"], math.nan, published=published)
    return Entry(
        number(value["value"], value["spread"]),
        value["value"],
        value["spread"],
        between(value["low"], value["high"]),
        rank,
        bool(value["p_best"] >= ALPHA),
        value["p_best"],
        published,
    )


def ranked(column: Mapping[Any, Mapping[Any, Any]], rows: Sequence[Row]) -> dict[str, str]:
    """Return the rows that are best and second in a column, as their numbers are printed."""
    values = {
        row.label: column[row.label]["value"]
        for row in rows
        if row.ranked and not math.isnan(column[row.label]["value"])
    }
    shown = list(dict.fromkeys(number(v) for v in sorted(values.values(), reverse=True)))
    names = dict(zip(shown, ("best", "second"), strict=False))
    return {label: names[number(v)] for label, v in values.items() if number(v) in names}


def tracks(mine: pd.DataFrame, row: Row) -> str:
    """Return how many tracks and windows a row rests on, and how many scores are not finite."""
    if row.status != "done":
        return NOTHING
    of_row = mine[mine["row"] == row.label]
    n_tracks, n_scores = int(of_row["n_tracks"].max()), int(of_row["n_scores"].max())
    text = str(n_tracks) + (f", {n_scores} windows" if n_scores > n_tracks else "")
    n_undefined = int(of_row["n_undefined"].max())
    return text + (f" ({n_undefined} undefined)" if n_undefined else "")


def figure(value: float, unknown: bool) -> str:
    """Return a published figure as text."""
    if unknown:
        return "not recovered"
    return NOTHING if math.isnan(value) else number(value)


def ordered(table: Sequence[Line], metric: str, by_value: bool) -> list[Line]:
    """Return lines by group, within one as in the file or from the highest value of a metric."""

    def place(line: Line) -> tuple[int, float]:
        value = line.entries[metric].value
        falling = -value if by_value and not math.isnan(value) else math.inf if by_value else 0.0
        return list(GROUPS).index(line.row.group), falling

    lines: list[Line] = []
    for line in sorted(table, key=place):
        group = line.row.group
        starts = not lines or lines[-1].row.group != group
        lines.append(Line(line.row, line.entries, line.tracks, GROUPS[group] if starts else ""))
    return lines


def grid(results: Results, metric: str, found: Mapping[str, Mapping[str, Entry]]) -> Grid:
    """Return the grid of one metric; see `bench.plan.experiment.Pivot`."""
    pivot = results.experiment.table.pivot
    if pivot is None:
        raise ValueError("the experiment has no pivot")
    values = {
        cell.row: cell.hyperparameters for cell in (outcome.cell for outcome in results.outcomes)
    }
    places = {}
    for one in results.experiment.methods:
        for label, _ in one.variants():
            place = results.experiment.pivot_place(one, values.get(label, {}))
            if place is not None:
                places[place] = found[label][metric]
    rows, columns = (list(dict.fromkeys(place[i] for place in places)) for i in (0, 1))
    row_name, column_name = (
        "method" if name == "label" else name for name in (pivot.rows, pivot.columns)
    )
    return Grid(metric, rows, columns, row_name, column_name, places)
