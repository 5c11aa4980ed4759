"""Is a difference more than the choice of test songs? Intervals, tests and ranks over songs.

Tracks of one song have scores that are alike, so the unit of everything here is a song: all tracks
of a song are drawn together (the cluster bootstrap; Davison and Hinkley, Bootstrap Methods and
their Application, 1997, section 3.8) and have one value, their mean, in a test. Where a track is a
song both are the same.

Intervals: the expanded percentile bootstrap of the mean over a row's seeds. It takes quantiles
further out than the plain percentile bootstrap, which is too narrow for few units (Hesterberg, The
American Statistician 69, 2015, section 5.3). Pairs of rows: Wilcoxon's signed-rank test, paired by
song, zero differences left out; the p-values of a family are adjusted by Holm's step-down method
(Scandinavian Journal of Statistics 6, 1979). Several rows at once: mean ranks and Friedman's test,
as in a critical-difference diagram (Demsar, JMLR 7, 2006), which joins rows if Wilcoxon's test with
Holm's adjustment over all pairs finds no difference among them (Benavoli, Corani, Mangili, JMLR 17,
2016).

A song counts for a pair if both scores are defined. These tests take trained networks as fixed:
`bench.report.trainings` tests the chance in training, and two rows are told apart if both say so.

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
import scipy
from numpy.typing import NDArray

from bench.report.trainings import Trainings, p_value_of_trainings
from bench.scoring.aggregate import Aggregate, mean, tracks_of_units, weighted_mean

_Values = NDArray[np.float64]

#: Two-sided significance level of the tests; intervals cover 1 - ALPHA.
ALPHA = 0.05
#: Draws of the bootstrap, and the seed of all of them: every row is drawn on the same tracks.
DRAWS, SEED = 2000, 1979


def bootstrap_interval(
    values: _Values, weights: _Values, aggregate: Aggregate, units: Sequence[str] | None = None
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a row over the units of its tracks.

    Parameters
    ----------
    values
        ``(seeds, tracks)``, NaN where undefined.
    weights
        Weights of the tracks, ``(tracks,)``.
    aggregate
        Function of values and weights that reduces the last axis and leaves out NaN.
    units
        The song or singer of each track, whose tracks are drawn together; None: every track is a
        unit.

    Returns
    -------
    tuple
        Lower and upper end; NaN for fewer than two units, or if an infinite score leaves no
        interval.
    """
    units = tuple(units or map(str, range(len(weights))))
    n = len(set(units))
    if n < 2 or not np.isfinite(aggregate(values, np.broadcast_to(weights, values.shape))).all():
        return math.nan, math.nan
    if aggregate in (weighted_mean, mean):
        own = weights if aggregate is weighted_mean else np.ones_like(weights, dtype=np.float64)
        drawn = _drawn_means(values, own, units)
    else:
        draws = _drawn_tracks(units)
        drawn_weights = np.append(weights, 0.0)[draws]
        seeds = [aggregate(np.append(seed, np.nan)[draws], drawn_weights) for seed in values]
        drawn = np.asarray(seeds)
    over_seeds = np.mean(drawn, axis=0)
    over_seeds = over_seeds[~np.isnan(over_seeds)]  # a draw of undefined tracks alone has no value
    if not np.isfinite(over_seeds).all():
        return math.nan, math.nan
    low, high = np.quantile(over_seeds, [expanded_tail(n), 1 - expanded_tail(n)])
    return float(low), float(high)


def expanded_tail(n: int) -> float:
    """Return the probability below the lower end of an interval over `n` units, from 2.

    It is 0.025 for many units, and smaller for few: the normal quantile of it is Student's, times
    ``sqrt(n / (n - 1))`` since the bootstrap's variance has the divisor n.

    Examples
    --------
    >>> round(expanded_tail(10_000), 4), round(expanded_tail(17), 4)
    (0.025, 0.0144)
    """
    student = scipy.special.stdtrit(n - 1, 1 - ALPHA / 2)
    return float(scipy.special.ndtr(-student * math.sqrt(n / (n - 1))))


def _drawn_means(values: _Values, weights: _Values, units: tuple[str, ...]) -> _Values:
    """Return the weighted mean of each seed in each draw of the bootstrap, ``(seeds, DRAWS)``.

    A mean is a ratio of two sums over units, in which a unit counts as often as it is drawn. NumPy
    adds up in the same order on every processor, and a product of matrices would not.
    """
    number_of_unit = {unit: number for number, unit in enumerate(tracks_of_units(units))}
    numbers = np.array([number_of_unit[unit] for unit in units])
    times = _times_drawn(len(number_of_unit))

    def drawn_sums(tracks: _Values) -> _Values:
        sums: _Values = (times * np.bincount(numbers, tracks)).sum(axis=1)
        return sums

    means = np.empty((len(values), DRAWS))
    with np.errstate(invalid="ignore"):  # a draw of undefined tracks alone has no mean
        for line, seed in zip(means, values, strict=True):
            defined = ~np.isnan(seed)
            total = drawn_sums(np.where(defined, seed * weights, 0.0))
            np.divide(total, drawn_sums(np.where(defined, weights, 0.0)), out=line)
    return means


@lru_cache(maxsize=4)
def _times_drawn(n: int) -> _Values:
    """Return how often each draw of the bootstrap has each of n units, ``(DRAWS, n)``."""
    return np.stack([np.bincount(draw, minlength=n) for draw in _draws(n)]).astype(np.float64)


@lru_cache(maxsize=4)
def _drawn_tracks(units: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the tracks of each draw of the bootstrap, ``(DRAWS, most tracks)``, -1 where none.

    They are the same for every row on the same units.
    """
    tracks = tracks_of_units(units)
    indices = np.full((len(tracks), max(map(len, tracks.values()))), -1, dtype=np.int64)
    for line, members in zip(indices, tracks.values(), strict=True):
        line[: len(members)] = members
    return indices[_draws(len(tracks))].reshape(DRAWS, -1)


def _draws(n: int) -> NDArray[np.int64]:
    """Return the units of each draw of the bootstrap, ``(DRAWS, n)``: the same for every row."""
    return np.random.default_rng(SEED).integers(0, n, (DRAWS, n))


def wilcoxon(one: _Values, other: _Values) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, paired by song.

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


def least_p_value(n_units: int, n_pairs: int) -> float:
    """Return the least adjusted p-value that any pair of a family can have.

    Parameters
    ----------
    n_units
        Songs on which rows are compared: the least p-value of one pair is ``2 / 2^n_units``.
    n_pairs
        Pairs of the family.

    Examples
    --------
    >>> least_p_value(8, 11)
    0.0859375
    """
    return min(1.0, n_pairs * 2.0 ** (1 - n_units))


def p_values_against(best: str, rows: Mapping[str, _Values]) -> dict[str, float]:
    """Return for every other row the adjusted p-value of its difference from the row `best`."""
    others = [label for label in rows if label != best]
    adjusted = holm([wilcoxon(rows[best], rows[label]) for label in others])
    return dict(zip(others, adjusted, strict=True))


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of rows: the content of a critical-difference diagram or a matrix of pairs.

    Attributes
    ----------
    mean_rank
        Mean rank of each row over the songs that all rows are defined on, 1 the best, in order.
    cliques
        Runs of neighbours in that order, of which no two are told apart.
    mean_score
        Mean of each row over those songs, in the same order.
    p_values
        Adjusted p-value of each pair of rows, the better rank first: the larger of that over songs
        and that over trainings. NaN for one not tested.
    tests_trainings
        Whether any pair was tested over trainings too.
    n_songs
        The number of those songs.
    friedman
        p-value of Friedman's test that no row differs; NaN for fewer than three rows.
    """

    mean_rank: Mapping[str, float]
    cliques: Sequence[Sequence[str]]
    mean_score: Mapping[str, float]
    p_values: Mapping[tuple[str, str], float]
    tests_trainings: bool
    n_songs: int
    friedman: float


def ranks(
    rows: Mapping[str, _Values], trainings: Mapping[str, Trainings], merit: int = 1
) -> Ranks | None:
    """Return the ranks of rows; None if nothing can be ranked.

    Parameters
    ----------
    rows
        One value a song for each row.
    trainings
        The trainings of each row. Chance may order two rows of one training each, so they are not
        tested against each other.
    merit
        1 where the highest value is the best, -1 for a distance.
    """
    if len(rows) < 2:
        return None
    matrix = np.stack(list(rows.values()))
    matrix = matrix[:, ~np.isnan(matrix).any(axis=0)]
    if matrix.shape[1] < 2:
        return None
    mean_ranks = scipy.stats.rankdata(-merit * matrix, axis=0).mean(axis=1)
    order = [list(rows)[i] for i in np.argsort(mean_ranks, kind="stable")]
    pairs = list(itertools.combinations(order, 2))
    one_training = {
        label for label, row in trainings.items() if row.is_stochastic and len(row.values) == 1
    }
    tested = [pair for pair in pairs if not {*pair} <= one_training]
    over_songs = holm([wilcoxon(rows[a], rows[b]) for a, b in tested])
    over_trainings = holm([p_value_of_trainings(trainings[a], trainings[b]) for a, b in tested])
    p_of_pair = dict(zip(tested, np.fmax(over_songs, over_trainings).tolist(), strict=True))
    p = [p_of_pair.get(pair, math.nan) for pair in pairs]
    alike = {pair for pair, value in zip(pairs, p, strict=True) if not value < ALPHA}
    same = bool((matrix == matrix[0]).all())
    friedman = math.nan
    if len(rows) > 2:
        friedman = 1.0 if same else float(scipy.stats.friedmanchisquare(*matrix).pvalue)
    rank_of = dict(zip(rows, map(float, mean_ranks), strict=True))
    with np.errstate(invalid="ignore"):  # both infinities among the scores of one row
        mean_of = dict(zip(rows, map(float, matrix.mean(axis=1)), strict=True))
    return Ranks(
        {label: rank_of[label] for label in order},
        cliques(order, alike),
        {label: mean_of[label] for label in order},
        dict(zip(pairs, p, strict=True)),
        not np.isnan(over_trainings).all(),
        matrix.shape[1],
        friedman,
    )


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
