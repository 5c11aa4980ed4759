"""Every aggregate of an experiment's rows, with what tells them from the best: ``rows.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.report.rows import Row, is_tested
from bench.report.statistics import (
    ALPHA,
    bootstrap_interval,
    holm,
    least_p_value,
    p_values_against,
)
from bench.report.track_tables import TrackTable
from bench.report.trainings import Trainings, p_value_of_trainings
from bench.scoring.aggregate import OVER_TRACKS, merit, over_seeds
from bench.store.results import Results

COLUMNS = ["row", "group", "method", "target", "protocol", "metric", "status", "value", "spread",
           "half_width", "low", "high", "low_singers", "high_singers", "p_best",
           "p_best_trainings", "n_seeds", "n_tracks", "n_songs", "n_singers", "n_scores",
           "n_undefined", "n_infinite", "published"]  # fmt: skip
#: The numbers of a row of which a cell is missing or failed.
_NO_NUMBERS: dict[str, Any] = {
    **dict.fromkeys(["value", "spread", "half_width", "low", "high"], np.nan),
    **dict.fromkeys(["low_singers", "high_singers"], np.nan),
    **dict.fromkeys(["n_tracks", "n_songs", "n_singers"], 0),
    **dict.fromkeys(["n_scores", "n_undefined", "n_infinite"], 0),
}

#: Columns of the p-values of a row's difference from the best.
_P_VALUES = ("p_best", "p_best_trainings")

#: By protocol and target, then by row and metric over tracks.
TrackTables = Mapping[tuple[str, str], Mapping[tuple[str, str], TrackTable]]


def aggregates(
    results: Results, rows: Sequence[Row], seeds: pd.DataFrame, tracks: TrackTables
) -> pd.DataFrame:
    """Return every aggregate of an experiment, unrounded.

    A row has the mean over its seeds (``value``), their standard deviation (``spread``) and half of
    the 95 % interval of the mean (``half_width``). ``low`` and ``high`` are the ends of the 95 %
    bootstrap interval over songs; ``low_singers`` and ``high_singers`` are those over singers, NaN
    unless every singer is known, there are at least `FEWEST_SINGERS`, and one sings several songs.
    ``p_best`` and ``p_best_trainings`` are the adjusted p-values of the difference between the row
    and the best method, over songs (`bench.report.statistics`) and over trainings
    (`bench.report.trainings`). They are NaN for the best row, for bounds, for a row of one training
    where the best has one too, and where there are too few songs for any p-value below the level. A
    row with a missing or failed cell has the value NaN and no tracks, so that its finished seeds do
    not stand for all.

    Parameters
    ----------
    results
        The experiment and the outcomes of its cells.
    rows
        Its rows, from `table_rows`.
    seeds
        Every aggregate of every seed, from `bench.scoring.aggregate.over_tracks` by row and seed.
    tracks
        The score of each track and seed.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. The status of a number is ``done``, ``undefined``, ``infinite``, or
        that of its row.
    """
    done = [row for row in rows if row.status == "done"]
    by_column = dict(list(seeds.groupby(["protocol", "target", "metric", "row"], sort=False)))
    published = _published(results)
    lines = []
    for (protocol, target), tables in tracks.items():
        for metric in results.experiment.metrics(protocol):
            numbers = {
                row.label: _row_numbers(
                    by_column[protocol, target, metric, row.label],
                    tables[row.label, metric],
                    protocol,
                )
                for row in done
                if (row.label, metric) in tables  # imported scores have one protocol only
            }
            of_trainings = trainings_of(done, seeds, protocol, target, metric)
            p_best = _p_best(done, metric, numbers, tables, of_trainings)
            for row in rows:
                of_paper = published.get((row.label, target, metric), np.nan)
                lines.append(
                    {
                        "row": row.label,
                        "group": row.group,
                        "method": row.method,
                        "target": target,
                        "protocol": protocol,
                        "metric": metric,
                        **dict(zip(_P_VALUES, p_best.get(row.label, (np.nan,) * 2), strict=True)),
                        "n_seeds": row.n_seeds,
                        "published": np.nan if isinstance(of_paper, str) else of_paper,
                        **numbers.get(row.label, {**_NO_NUMBERS, "status": _why_absent(row)}),
                    }
                )
    order = {row.label: place for place, row in enumerate(rows)}
    lines.sort(key=lambda line: order[line["row"]])
    return pd.DataFrame(lines, columns=COLUMNS)


def not_recovered(results: Results) -> set[tuple[str, str, str]]:
    """Return row, target and metric of each published value that could not be read."""
    return {key for key, value in _published(results).items() if isinstance(value, str)}


def _published(results: Results) -> dict[tuple[str, str, str], float | str]:
    """Return each published value by row, target and metric."""
    return {
        (label, target, metric): value
        for entry in results.experiment.methods
        for label, _ in entry.variants()
        for target, values in entry.published.items()
        for metric, value in values.items()
    }


def _why_absent(row: Row) -> str:
    """Return why a row has no number: its status, or that it was never scored so."""
    return "missing" if row.status == "done" else row.status


def _row_numbers(seeds: pd.DataFrame, tracks: TrackTable, protocol: str) -> dict[str, Any]:
    """Return the numbers of a row whose cells are all done, from those of its seeds."""
    over = over_seeds(seeds["value"].to_list())
    aggregate = OVER_TRACKS[protocol][0]
    low, high = bootstrap_interval(tracks.values, tracks.weights, aggregate, tracks.songs)
    low_singers = high_singers = np.nan
    if tracks.has_singers:
        low_singers, high_singers = bootstrap_interval(
            tracks.values, tracks.weights, aggregate, tracks.singers
        )
    status = "undefined" if np.isnan(over.mean) else "done"
    return {
        "status": "infinite" if np.isinf(over.mean) else status,
        "value": over.mean,
        "spread": over.spread,
        "half_width": over.half_width,
        "low": low,
        "high": high,
        "low_singers": low_singers,
        "high_singers": high_singers,
        "n_tracks": int(seeds["n_tracks"].min()),
        "n_songs": len(set(tracks.songs)),
        "n_singers": len(set(tracks.singers) - {""}),
        "n_scores": int(seeds["n_scores"].min()),
        "n_undefined": int(seeds["n_undefined"].max()),
        "n_infinite": int(seeds["n_infinite"].max()),
    }


def column_of(numbers: pd.DataFrame, protocol: str, target: str, metric: str) -> pd.DataFrame:
    """Return the lines of one column of a table, from aggregates of rows or of seeds."""
    return numbers[
        (numbers["protocol"] == protocol)
        & (numbers["target"] == target)
        & (numbers["metric"] == metric)
    ]


def trainings_of(
    rows: Sequence[Row], seeds: pd.DataFrame, protocol: str, target: str, metric: str
) -> dict[str, Trainings]:
    """Return the trainings of rows under one metric, by label.

    Parameters
    ----------
    rows
        Rows that are done; those without a score are left out.
    seeds
        Every aggregate of every seed; see `aggregates`.
    protocol, target, metric
        The column.
    """
    of_column = column_of(seeds, protocol, target, metric).sort_values("seed")
    values = of_column.groupby("row", sort=False)["value"].agg(list)
    return {
        row.label: Trainings(values[row.label], row.training_keys)
        for row in rows
        if row.label in values
    }


def best_label(values: Mapping[str, float], metric: str) -> str | None:
    """Return the row with the best value of a metric, the first of equal ones.

    Parameters
    ----------
    values
        The value of each row that can be the best; NaN for none.
    metric
        Name of the metric over tracks.

    Examples
    --------
    >>> best_label({"a": 7.0, "b": float("nan"), "c": 7.5, "d": 7.5}, "gnsdr")
    'c'
    """
    known = [label for label, value in values.items() if not np.isnan(value)]
    return max(known, key=lambda label: merit(metric) * values[label], default=None)


def _p_best(
    done: Sequence[Row],
    metric: str,
    numbers: Mapping[str, Mapping[str, Any]],
    tracks: Mapping[tuple[str, str], TrackTable],
    of_trainings: Mapping[str, Trainings],
) -> dict[str, tuple[float, float]]:
    """Return the adjusted p-values of each method's difference from the best that is ranked.

    The first is over songs, the second over trainings. Imported scores are not ranked, and still
    paired with the best by the names of their songs. A row of which nothing can be said is left
    out; see `aggregates`.
    """
    scored = [
        row for row in done if row.label in numbers and not np.isnan(numbers[row.label]["value"])
    ]
    best = best_label({r.label: numbers[r.label]["value"] for r in scored if r.ranked}, metric)
    if best is None:
        return {}
    songs = list(tracks[best, metric].song_means)
    best_row = next(row for row in scored if row.label == best)
    compared = {
        row.label: tracks[row.label, metric].means_on(songs)
        for row in scored
        if row is best_row or is_tested(row, best_row)
    }
    n_defined = int(np.count_nonzero(~np.isnan(compared[best])))
    if least_p_value(n_defined, len(compared) - 1) >= ALPHA:
        return {}
    over_songs = p_values_against(best, compared)
    over_trainings = holm(
        [p_value_of_trainings(of_trainings[best], of_trainings[label]) for label in over_songs]
    )
    return {
        label: (p, p_of_trainings)
        for (label, p), p_of_trainings in zip(over_songs.items(), over_trainings, strict=True)
    }
