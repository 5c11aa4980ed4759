"""How alike the scores within a song are, and what that costs: design effect, least difference.

Correlation: the intraclass correlation of a one-way analysis of variance with groups of unequal
sizes (Donner, International Statistical Review 54, 1986, eq. 2.1). Design effect: the variance of a
mean over the tracks, divided by that of a mean over as many independent ones,
``1 + (sum of n_g^2 / n - 1) r`` for groups of n_g tracks (Kish, Survey Sampling, 1965, section
8.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from bench.report.rows import Row
from bench.report.statistics import ALPHA
from bench.report.track_tables import TrackTable

#: Probability with which the least difference is told apart.
POWER = 0.8


@dataclass(frozen=True)
class GroupFacts:
    """What the groups of a test set do to one metric. Numbers that cannot be computed are NaN.

    Attributes
    ----------
    metric
        Name of the metric over tracks.
    n_tracks, n_songs, n_singers
        Numbers of tracks, songs and singers; no singers where they are not known.
    song_correlation, singer_correlation
        Correlation of the scores of one song, and of one singer: medians over the ranked rows.
    design_effect
        Design effect of the songs; see the module.
    least_difference
        Difference from the best row, in the unit of the metric, that would be told apart from 0 in
        80 % of such test sets, at the level of the tests and before any adjustment: median over
        the ranked rows.
    """

    metric: str
    n_tracks: int
    n_songs: int
    n_singers: int
    song_correlation: float
    singer_correlation: float
    design_effect: float
    least_difference: float

    @property
    def unit(self) -> str:
        """What intervals and tests are over: ``songs``, or ``tracks`` where each is a song."""
        return "songs" if self.n_songs < self.n_tracks else "tracks"


def group_facts(
    rows: Sequence[Row],
    metric: str,
    tables: Mapping[tuple[str, str], TrackTable],
    best: str | None,
) -> GroupFacts:
    """Return what the groups of a test set do to a metric.

    Parameters
    ----------
    rows
        The rows of a table.
    metric
        Name of the metric over tracks.
    tables
        The scores of each track, by row and metric.
    best
        The row that is best in the table; None for none.
    """
    done = [row for row in rows if row.status == "done" and (row.label, metric) in tables]
    by_label = {row.label: tables[row.label, metric] for row in done if row.ranked}
    by_label = {k: table for k, table in by_label.items() if not np.isnan(table.seed_mean).all()}
    ranked = list(by_label.values())
    shown = ranked or [tables[row.label, metric] for row in done]
    songs = dict(zip(shown[0].names, shown[0].songs, strict=True)) if shown else {}
    singers = {singer for table in shown[:1] for singer in table.singers} - {""}
    correlation = _median([intraclass_correlation(t.seed_mean, t.songs) for t in ranked])
    sizes = np.unique(list(songs.values()), return_counts=True)[1] if songs else np.ones(1)
    effect = 1 + (float((sizes**2).sum()) / max(len(songs), 1) - 1) * correlation
    return GroupFacts(
        metric,
        len(songs),
        len(set(songs.values())),
        len(singers),
        correlation,
        _median([intraclass_correlation(t.seed_mean, t.singers) for t in ranked]),
        effect,
        _median(_least_differences(by_label.get(best or ""), ranked)),
    )


def intraclass_correlation(values: NDArray[np.float64], groups: Sequence[str]) -> float:
    """Return the correlation of two values of one group.

    Parameters
    ----------
    values
        ``(values,)``; those that are not finite are left out.
    groups
        The group of each value.

    Returns
    -------
    float
        At most 1, negative where values of a group differ more than others; NaN where every value
        is a group, all are of one group, or no two values differ.

    Examples
    --------
    >>> intraclass_correlation(np.array([1.0, 1.0, 5.0, 5.0]), ["a", "a", "b", "b"])
    1.0
    """
    finite = np.isfinite(values)
    x = values[finite]
    names, group = np.unique(np.asarray(groups)[finite], return_inverse=True)
    n, k = len(x), len(names)
    if not 1 < k < n:
        return math.nan
    sizes = np.bincount(group)
    means = np.bincount(group, x) / sizes
    between = float((sizes * (means - x.mean()) ** 2).sum()) / (k - 1)
    within = float(((x - means[group]) ** 2).sum()) / (n - k)
    size = (n - float((sizes**2).sum()) / n) / (k - 1)
    total = between + (size - 1) * within
    return (between - within) / total if total > 0 else math.nan


def _least_differences(best: TrackTable | None, ranked: Sequence[TrackTable]) -> list[float]:
    """Return the least difference from the best row that can be told apart, for each other row."""
    if best is None:
        return []
    songs = list(best.song_means)
    least = []
    for table in ranked:
        if table is best:
            continue
        with np.errstate(invalid="ignore"):
            differences = best.means_on(songs) - table.means_on(songs)
        differences = differences[np.isfinite(differences)]
        n = len(differences)
        if n < 2:
            continue
        quantiles = scipy.special.stdtrit(n - 1, [1 - ALPHA / 2, POWER]).sum()
        least.append(float(quantiles * differences.std(ddof=1) / math.sqrt(n)))
    return least


def _median(values: Sequence[float]) -> float:
    """Return the median of the values that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan
