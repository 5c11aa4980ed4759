"""Everything that a report shows in numbers, computed once and handed to every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report.aggregates import TrackTables, aggregates, best_label, column_of
from bench.report.groups import GroupFacts, group_facts
from bench.report.layout import table_parts
from bench.report.rows import UNRANKED, Row, table_rows
from bench.report.table import Part
from bench.report.track_tables import track_tables
from bench.scoring.aggregate import over_tracks, track_values
from bench.store.results import Results


@dataclass(frozen=True)
class ReportTables:
    """The tables of an experiment, and the numbers that they rest on.

    Attributes
    ----------
    results
        The experiment and the outcomes of its cells.
    rows
        The rows of its tables.
    tracks
        By protocol and target, then by row and metric, the score of each track and seed.
    seeds
        Every aggregate of every seed, from `bench.scoring.aggregate.over_tracks` by row and seed.
    aggregates
        Every aggregate of every row, unrounded: the content of ``rows.csv``.
    groups
        By protocol and target, what the songs and singers of the test set do to the first metric.
    parts
        A table for each protocol and target, rounded and ranked.
    """

    results: Results
    rows: Sequence[Row]
    tracks: TrackTables
    seeds: pd.DataFrame
    aggregates: pd.DataFrame
    groups: Mapping[tuple[str, str], GroupFacts]
    parts: Sequence[Part]


def read_parts(results: Results, folder: Path) -> list[Part]:
    """Return the tables of an experiment from ``rows.csv`` of its report, which is current.

    Nothing is computed: no interval, no test.
    """
    texts = ("row", "group", "method", "target", "protocol", "metric", "status")
    path = folder / "rows.csv"
    columns = pd.read_csv(path, nrows=0).columns
    missing = {name: [""] for name in columns if name not in texts}  # a row may be named NA
    numbers = pd.read_csv(path, keep_default_na=False, na_values=missing)
    has_songs = (numbers["n_songs"] < numbers["n_tracks"]).groupby(
        [numbers["protocol"], numbers["target"]]
    )
    units: dict[Any, str] = {
        key: "songs" if several else "tracks" for key, several in has_songs.any().items()
    }
    return table_parts(results, table_rows(results), numbers, units)


def tabulate(results: Results) -> ReportTables:
    """Compute the tables of an experiment."""
    rows, experiment = table_rows(results), results.experiment
    values = track_values(results.scores, ["row", "seed"])
    seeds = over_tracks(results.scores, ["row", "seed"], tracks=values)
    tracks = {
        (protocol, target): track_tables(
            values[(values["protocol"] == protocol) & (values["target"] == target)],
            protocol,
            results.groups,
        )
        for protocol in experiment.protocols
        for target in experiment.table.targets
    }
    numbers = aggregates(results, rows, seeds, tracks)
    groups = {}
    for (protocol, target), tables in tracks.items():
        metric = experiment.metrics(protocol)[0]
        column = column_of(numbers, protocol, target, metric)
        column = column[~column["group"].isin(UNRANKED)]
        best = best_label(dict(zip(column["row"], column["value"], strict=True)), metric)
        groups[protocol, target] = group_facts(rows, metric, tables, best)
    units = {key: facts.unit for key, facts in groups.items()}
    parts = table_parts(results, rows, numbers, units)
    return ReportTables(results, rows, tracks, seeds, numbers, groups, parts)
