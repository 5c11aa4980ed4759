"""From the scores of many cells to the rows of a table, one number a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.report.statistics import against, interval
from bench.scoring.aggregate import OVER_TRACKS, over_seeds, over_tracks, track_values
from bench.store.results import Outcome, Results

COLUMNS = ["row", "group", "method", "target", "protocol", "metric", "status", "value", "spread",
           "half_width", "low", "high", "p_best", "n_seeds", "n_tracks", "n_scores", "n_undefined",
           "n_infinite", "published"]  # fmt: skip
#: The titles of groups, in the order of the table.
GROUPS = {
    "supervised": "Supervised",
    "unsupervised": "Unsupervised",
    "elsewhere": "Made elsewhere",
    "imported": "Imported scores",
    "bound": "Bounds",
}
#: Groups that are never ranked: bounds, and scores that were not computed here.
UNRANKED = ("imported", "bound")


@dataclass(frozen=True)
class Row:
    """A row of the table: its label, its method and how it came out.

    Attributes
    ----------
    label, method, group, note
        As in the experiment.
    status
        ``done``; ``failed`` or ``missing`` where any of its cells is, and how many seeds of how
        many where there are several.
    n_seeds
        Cells that its numbers are the mean of, once all are done.
    """

    label: str
    method: str
    group: str
    note: str
    status: str
    n_seeds: int

    @property
    def ranked(self) -> bool:
        """Whether it can be the best of a column."""
        return self.group not in UNRANKED


def table_rows(results: Results) -> list[Row]:
    """Return the rows of an experiment in the order of its file, grouped: bounds last."""
    notes = {
        label: entry.note for entry in results.experiment.methods for label, _ in entry.variants()
    }
    by_row: dict[str, list[Outcome]] = {}
    for outcome in results.outcomes:
        by_row.setdefault(outcome.cell.row, []).append(outcome)
    rows = []
    for label, outcomes in by_row.items():
        cell, n_seeds = outcomes[0].cell, len(outcomes)
        rows.append(
            Row(label, cell.method, cell.group, notes[label], _row_status(outcomes), n_seeds)
        )
    order = list(GROUPS)
    return sorted(rows, key=lambda row: order.index(row.group))


def _row_status(outcomes: Sequence[Outcome]) -> str:
    """Return the worst status of a row's cells, and how many of several have it."""
    statuses = [str(outcome.status) for outcome in outcomes]
    worst = max(statuses, key=["done", "missing", "failed"].index)
    if worst == "done" or len(statuses) == 1:
        return worst
    return f"{worst}: {statuses.count(worst)} of {len(statuses)} seeds"


def published(results: Results, row: str, target: str, metric: str) -> float:
    """Return the published figure of a row, or NaN."""
    for entry in results.experiment.methods:
        if row in [label for label, _ in entry.variants()]:
            figure = entry.published.get(target, {}).get(metric, np.nan)
            return np.nan if isinstance(figure, str) else figure
    return np.nan


def not_recovered(results: Results) -> set[tuple[str, str, str]]:
    """Return row, target and metric of each published figure that could not be read."""
    return {
        (label, target, metric)
        for entry in results.experiment.methods
        for label, _ in entry.variants()
        for target, figures in entry.published.items()
        for metric, figure in figures.items()
        if isinstance(figure, str)
    }


def seed_values(results: Results) -> pd.DataFrame:
    """Return every aggregate of every seed: columns row, seed, target, protocol, metric, value."""
    return over_tracks(results.scores, by=["row", "seed"])


def long_rows(results: Results) -> pd.DataFrame:
    """Return every aggregate of an experiment, unrounded: the content of ``rows.csv``.

    A row of several seeds has the mean over seeds, the standard deviation (``spread``) and half
    of the 95 % interval of the mean. ``low`` and ``high`` are the ends of the 95 % bootstrap
    interval over tracks; ``p_best`` is the adjusted p-value of its difference from the best
    method's, see `bench.report.statistics`. A row of which a cell is missing or failed has the
    value NaN and no tracks: it is never averaged away.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. The status of a number is ``done``, ``undefined``, ``infinite``, or
        that of its row.
    """
    scores, rows = results.scores, table_rows(results)
    done = [row for row in rows if row.status == "done"]
    parts = []
    for protocol in results.experiment.protocols:
        for target in results.experiment.table.targets:
            mine = scores[(scores["protocol"] == protocol) & (scores["target"] == target)]
            over = over_tracks(mine, by=["row", "seed"])
            tracks = track_tables(mine, protocol)
            for metric in results.experiment.metrics(protocol):
                found = {
                    row.label: aggregated(
                        over[(over["row"] == row.label) & (over["metric"] == metric)],
                        tracks[row.label, metric],
                        protocol,
                    )
                    for row in done
                    if (row.label, metric) in tracks  # imported: under one protocol
                }
                p_best = differences(done, metric, found, tracks)
                for row in rows:
                    parts.append(
                        {
                            "row": row.label,
                            "group": row.group,
                            "method": row.method,
                            "target": target,
                            "protocol": protocol,
                            "metric": metric,
                            "p_best": p_best.get(row.label, np.nan),
                            "n_seeds": row.n_seeds,
                            "published": published(results, row.label, target, metric),
                            **found.get(row.label, {**NONE, "status": absent(row)}),
                        }
                    )
    order = [row.label for row in rows]
    parts.sort(key=lambda part: order.index(part["row"]))
    return pd.DataFrame(parts, columns=COLUMNS)


def absent(row: Row) -> str:
    """Return why a row has no number: its status, or that it was never scored so."""
    return "missing" if row.status == "done" else row.status


#: What a row has where a cell is missing or failed.
NONE: dict[str, Any] = {
    **dict.fromkeys(["value", "spread", "half_width", "low", "high"], np.nan),
    **dict.fromkeys(["n_tracks", "n_scores", "n_undefined", "n_infinite"], 0),
}


@dataclass(frozen=True)
class TrackTable:
    """A row's scores under one metric, a value a track.

    Attributes
    ----------
    names
        Of the tracks, sorted.
    values
        ``(seeds, tracks)``, NaN where undefined.
    weights
        Lengths of the tracks in samples.
    """

    names: Sequence[str]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    def on(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return `over_seeds` on tracks of these names, NaN where there is none of a name."""
        own = dict(zip(self.names, self.over_seeds, strict=True))
        return np.array([own.get(name, np.nan) for name in names])

    @property
    def over_seeds(self) -> NDArray[np.float64]:
        """The mean over seeds, ``(tracks,)``."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.values.mean(axis=0))


def track_tables(scores: pd.DataFrame, protocol: str) -> dict[tuple[str, str], TrackTable]:
    """Return a table for each row and metric over tracks of the scores of one target."""
    names = OVER_TRACKS[protocol][1]
    tracks = track_values(scores, ["row", "seed"])
    ordered = tracks["track"].cat.reorder_categories(sorted(tracks["track"].cat.categories))
    tracks = tracks.assign(track=ordered)
    lengths = tracks.groupby("track", observed=False)["n_samples"].first().to_numpy(np.float64)
    tables = {}
    for (row, metric), part in tracks.groupby(["row", "metric"], observed=True, sort=False):
        present, columns = np.unique(part["track"].cat.codes, return_inverse=True)
        seeds, lines = np.unique(part["seed"], return_inverse=True)
        values = np.full((len(seeds), len(present)), np.nan)
        values[lines, columns] = part["value"]
        tables[str(row), names[str(metric)]] = TrackTable(
            list(ordered.cat.categories[present]), values, lengths[present]
        )
    return tables


def aggregated(over: pd.DataFrame, tracks: TrackTable, protocol: str) -> dict[str, Any]:
    """Return the numbers of a row whose cells are all done, from those of its seeds."""
    found = over_seeds(over["value"].to_list())
    low, high = interval(tracks.values, tracks.weights, OVER_TRACKS[protocol][0])
    status = "undefined" if np.isnan(found.mean) else "done"
    return {
        "status": "infinite" if np.isinf(found.mean) else status,
        "value": found.mean,
        "spread": found.spread,
        "half_width": found.half_width,
        "low": low,
        "high": high,
        "n_tracks": int(over["n_tracks"].min()),
        "n_scores": int(over["n_scores"].min()),
        "n_undefined": int(over["n_undefined"].sum()),
        "n_infinite": int(over["n_infinite"].sum()),
    }


def differences(
    done: Sequence[Row],
    metric: str,
    found: Mapping[str, Mapping[str, Any]],
    tracks: Mapping[tuple[str, str], TrackTable],
) -> dict[str, float]:
    """Return the adjusted p-value of each method's difference from the best that is ranked.

    Imported scores are not ranked, and still paired with the best by the names of their tracks.
    """
    scored = [row for row in done if row.label in found and not np.isnan(found[row.label]["value"])]
    ranked = [row.label for row in scored if row.ranked]
    if not ranked:
        return {}
    best = max(ranked, key=lambda label: found[label]["value"])
    names = tracks[best, metric].names
    compared = {
        row.label: tracks[row.label, metric].on(names) for row in scored if row.group != "bound"
    }
    return against(best, compared)
