"""Is a difference more than the chance in training? Tests of the values of two rows' trainings.

`bench.report.statistics` asks of a difference whether other test songs would show it, with the
trained networks as they are; here the question is whether other trainings would, on these songs.
Rows are told apart only if both say so (an intersection-union test; Berger, Technometrics 24,
1982), so that two trainings of one method come out as different in at most 5 % of cases.

Two rows that draw are compared by Welch's t-test, which takes their trainings as independent. Rows
that separate by the same networks, such as two masks at test time, are compared network by network
by Student's t-test of the differences. A row that draws and one that does not are compared by
Student's t-test of the one against the value of the other.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy


@dataclass(frozen=True)
class Trainings:
    """The value of one metric for each training of a row.

    Attributes
    ----------
    values
        One a seed, in the order of the seeds; one for a row that does not draw.
    training_keys
        What was trained with each seed, see `bench.plan.cells.Cell.training_key`; empty for a row
        that does not draw.
    """

    values: Sequence[float]
    training_keys: Sequence[str] = ()

    @property
    def is_stochastic(self) -> bool:
        """Whether the method of the row draws at random."""
        return bool(self.training_keys)


def p_value_of_trainings(one: Trainings, other: Trainings) -> float:
    """Return the two-sided p-value of the difference between the means of two rows' trainings.

    Returns
    -------
    float
        NaN where nothing is known or there is nothing to know: a row has one training alone, a
        value is not finite, or neither row draws.

    Examples
    --------
    >>> few, same = Trainings([7.0, 7.1, 7.3], "abc"), Trainings([7.2, 7.0, 7.2], "def")
    >>> round(p_value_of_trainings(few, same), 3)
    1.0
    >>> p_value_of_trainings(few, Trainings([8.5], "g"))
    nan
    """
    if not (one.is_stochastic or other.is_stochastic):
        return math.nan
    if any(row.is_stochastic and len(row.values) < 2 for row in (one, other)):
        return math.nan
    a, b = (np.asarray(row.values, dtype=np.float64) for row in (one, other))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # values that are nearly all the same
        both_draw = one.is_stochastic and other.is_stochastic
        if both_draw and list(one.training_keys) != list(other.training_keys):
            p = float(scipy.stats.ttest_ind(a, b, equal_var=False).pvalue)
        else:  # the same networks, or a row that does not draw and has one value
            p = _against_zero(a - b)
    return float(a.mean() == b.mean()) if math.isnan(p) else p


def _against_zero(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return the p-value of Student's t-test that the mean is 0; NaN where all are the same."""
    return float(scipy.stats.ttest_1samp(differences, 0.0).pvalue)
