"""Is a difference more than the choice of test tracks? Intervals, tests and ranks over tracks.

Intervals: the percentile bootstrap (Efron 1979) over tracks, of the mean over a row's seeds. Pairs
of rows: Wilcoxon's signed-rank test, paired by track, zero differences left out; the p-values of a
family are adjusted by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979). Several
rows at once: mean ranks and Friedman's test, as in a critical-difference diagram (Demsar, JMLR 7,
2006), which joins rows if Wilcoxon's test with Holm's adjustment over all pairs finds no difference
among them (Benavoli, Corani, Mangili, JMLR 17, 2016).

A track counts for a pair if both scores are defined. None of these measures how much chance in a
training matters: seeds do.

Ranks and cliques are computed here and not by scikit-posthocs: it would bring statsmodels, seaborn
and formulaic for some thirty lines, and the bytes of a committed report would depend on all four.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from bench.scoring.aggregate import Aggregate

_Values = NDArray[np.float64]

#: Two-sided level of tests, and one less the coverage of intervals.
ALPHA = 0.05
#: Draws of the bootstrap, and the seed of all of them: every row is drawn on the same tracks.
DRAWS, SEED = 2000, 1979


def bootstrap_interval(
    values: _Values, weights: _Values, aggregate: Aggregate
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a row over its tracks.

    Parameters
    ----------
    values
        ``(seeds, tracks)``, NaN where undefined.
    weights
        Weights of the tracks, ``(tracks,)``.
    aggregate
        Function of values and weights that reduces the last axis.

    Returns
    -------
    tuple
        Lower and upper end; NaN for fewer than two tracks, or if an infinite score leaves no
        interval.
    """
    n = values.shape[-1]
    if n < 2 or not np.isfinite(aggregate(values, np.broadcast_to(weights, values.shape))).all():
        return math.nan, math.nan
    draws = _draws(n)
    drawn_weights = weights[draws]
    over_seeds = np.mean([aggregate(seed[draws], drawn_weights) for seed in values], axis=0)
    over_seeds = over_seeds[~np.isnan(over_seeds)]  # a draw of undefined tracks alone has no value
    if not np.isfinite(over_seeds).all():
        return math.nan, math.nan
    low, high = np.quantile(over_seeds, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(n: int) -> NDArray[np.int64]:
    """Return the tracks of each draw of the bootstrap, ``(DRAWS, n)``: the same for every row."""
    return np.random.default_rng(SEED).integers(0, n, (DRAWS, n))


def wilcoxon(one: _Values, other: _Values) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, paired by track.

    1 where no pair differs, NaN where there is no pair.
    """
    paired = ~(np.isnan(one) | np.isnan(other))
    if not paired.any():
        return math.nan
    one, other = one[paired], other[paired]
    with np.errstate(invalid="ignore"):
        differences = np.where(one == other, 0.0, one - other)  # infinity equals itself
    if not differences.any():
        return 1.0
    return float(scipy.stats.wilcoxon(differences).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the same order; NaN stays and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for place, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(known) - place) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def p_values_against(best: str, rows: Mapping[str, _Values]) -> dict[str, float]:
    """Return for every other row the adjusted p-value of its difference from the row `best`."""
    others = [label for label in rows if label != best]
    adjusted = holm([wilcoxon(rows[best], rows[label]) for label in others])
    return dict(zip(others, adjusted, strict=True))


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of rows: the content of a critical-difference diagram.

    Attributes
    ----------
    mean
        Mean rank of each row over the tracks that all rows are defined on, 1 the best, in order.
    cliques
        Runs of neighbours in that order, of which no two differ significantly.
    n_tracks
        The number of those tracks.
    friedman
        p-value of Friedman's test that no row differs; NaN for fewer than three rows.
    """

    mean: Mapping[str, float]
    cliques: Sequence[Sequence[str]]
    n_tracks: int
    friedman: float


def ranks(rows: Mapping[str, _Values]) -> Ranks | None:
    """Return the ranks of rows, each with one value a track; None if nothing can be ranked."""
    if len(rows) < 2:
        return None
    matrix = np.stack(list(rows.values()))
    matrix = matrix[:, ~np.isnan(matrix).any(axis=0)]
    if matrix.shape[1] < 2:
        return None
    mean = scipy.stats.rankdata(-matrix, axis=0).mean(axis=1)
    order = [list(rows)[i] for i in np.argsort(mean, kind="stable")]
    pairs = list(itertools.combinations(order, 2))
    p = holm([wilcoxon(rows[a], rows[b]) for a, b in pairs])
    alike = {pair for pair, value in zip(pairs, p, strict=True) if not value < ALPHA}
    same = bool((matrix == matrix[0]).all())
    friedman = math.nan
    if len(rows) > 2:
        friedman = 1.0 if same else float(scipy.stats.friedmanchisquare(*matrix).pvalue)
    by_label = dict(zip(rows, map(float, mean), strict=True))
    return Ranks({k: by_label[k] for k in order}, cliques(order, alike), matrix.shape[1], friedman)


def cliques(order: Sequence[str], alike: set[tuple[str, str]]) -> list[list[str]]:
    """Return the longest runs of `order` in which every pair is in `alike`, two rows or more."""
    runs: list[list[str]] = []
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and all((o, order[stop]) in alike for o in order[start:stop]):
            stop += 1
        run = list(order[start:stop])
        if len(run) > 1 and not any(set(run) <= set(other) for other in runs):
            runs.append(run)
    return runs
