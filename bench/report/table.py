"""The tables of a report, whatever they are written in: rows, columns, and each number as text.

The formats write these tables with code of their own: pandas' Styler writes HTML and LaTeX but
neither Markdown nor a terminal's tables, so that a second layout would still be needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report.rows import Row

#: Mark of a value that is not told apart from the best.
CLOSE = "≈"
#: Mark of a published value that a note sets apart from ours.
SET_APART = "†"


@dataclass(frozen=True)
class Entry:
    """A number of a table.

    Attributes
    ----------
    text
        The rounded value with its spread over seeds, or the reason why it has none.
    value, spread
        Unrounded numbers, NaN if it has none.
    interval, interval_singers
        The 95 % intervals over songs and over singers as text, empty if it has none.
    rank
        ``best``, ``second`` or empty.
    close
        Whether it is not told apart from the best, by songs or by trainings.
    p_best, p_best_trainings
        The adjusted p-values of that difference over songs and over trainings, NaN for none.
    published
        The published value as text; empty if the table has no such column.
    """

    text: str
    value: float
    spread: float = math.nan
    interval: str = ""
    interval_singers: str = ""
    rank: str = ""
    close: bool = False
    p_best: float = math.nan
    p_best_trainings: float = math.nan
    published: str = ""

    @property
    def mean(self) -> str:
        """The value alone, without its spread."""
        return self.text.partition(" ±")[0]

    @property
    def deviation(self) -> str:
        """The spread over trainings alone, empty where there is none."""
        return self.text.partition(" ± ")[2]


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes
    ----------
    row
        Its label, method and status.
    entries
        Its number under each metric.
    tracks
        The numbers of tracks, of windows and of undefined scores, as text.
    starts_group
        The title of its group if it is the first row of it, else empty.
    """

    row: Row
    entries: Mapping[str, Entry]
    tracks: str
    starts_group: str = ""


@dataclass(frozen=True)
class Grid:
    """An ablation as a grid of one metric.

    Attributes
    ----------
    metric
        Name of the metric.
    rows, columns
        Headings, in order.
    row_name, column_name
        What the headings are values of.
    places
        The entry of each row and column that was run.
    labels
        The labels of the rows of the table that have a place in it.
    """

    metric: str
    rows: Sequence[str]
    columns: Sequence[str]
    row_name: str
    column_name: str
    places: Mapping[tuple[str, str], Entry]
    labels: frozenset[str]


@dataclass(frozen=True)
class Part:
    """The table of one target, under one protocol or several that agree in every value.

    Attributes
    ----------
    protocol, target
        Protocol and target of the scores; the first protocol where several agree.
    title, caption
        Both in words; the title names the protocols where the experiment has several.
    tracks
        The corpus, and how many of its test tracks the table rests on, in words.
    metrics
        Its columns.
    lines
        Its rows.
    published_metrics
        The metrics with published values, which have columns of their own.
    unit
        What intervals and tests are over: ``songs``, or ``tracks`` where every track is a song.
    grids
        The ablation as a grid of each metric, where the experiment asks for one.
    """

    protocol: str
    target: str
    title: str
    caption: str
    tracks: str
    metrics: Sequence[str]
    lines: Sequence[Line]
    published_metrics: Sequence[str]
    unit: str
    grids: Sequence[Grid]

    @property
    def listed(self) -> Sequence[Line]:
        """The rows of the list beside the grids: none where the grids show all that it would."""
        in_grids = frozenset[str]().union(*(grid.labels for grid in self.grids))
        is_shown = all(line.row.label in in_grids for line in self.lines)
        same_tracks = len({line.tracks for line in self.lines}) < 2
        return [] if is_shown and same_tracks and not self.published_metrics else self.lines

    @property
    def has_deviations(self) -> bool:
        """Whether a number has a standard deviation over trainings."""
        return any(e.deviation for line in self.lines for e in line.entries.values())

    @property
    def has_singers(self) -> bool:
        """Whether a number has an interval over singers."""
        return any(e.interval_singers for line in self.lines for e in line.entries.values())

    @property
    def has_spreads(self) -> bool:
        """Whether a row has more than one kind of spread: over songs, singers and trainings."""
        entries = [line.entries[self.metrics[0]] for line in self.lines]
        return any(entry.interval_singers or entry.deviation for entry in entries)
