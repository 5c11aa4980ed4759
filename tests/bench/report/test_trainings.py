"""Tests of the trainings of two rows, against SciPy's, and the error that they make."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy

from bench.report.trainings import Trainings, p_value_of_trainings


def test_rows_of_other_networks_are_compared_by_welchs_test():
    a, b = [7.0, 7.1, 7.3], [7.5, 7.6, 7.4, 7.9]
    expected = scipy.stats.ttest_ind(a, b, equal_var=False).pvalue
    assert p_value_of_trainings(Trainings(a, "abc"), Trainings(b, "defg")) == expected


def test_rows_of_the_same_networks_are_compared_by_their_differences():
    a, b = [7.0, 7.1, 7.3], [7.2, 7.31, 7.5]
    expected = scipy.stats.ttest_rel(a, b).pvalue
    same = p_value_of_trainings(Trainings(a, "abc"), Trainings(b, "abc"))
    assert same == pytest.approx(expected)
    assert same < 0.01 < p_value_of_trainings(Trainings(a, "abc"), Trainings(b, "abd"))


def test_a_row_without_chance_is_one_value():
    drawn, exact = Trainings([5.0, 5.1, 5.3], "abc"), Trainings([5.0])
    expected = scipy.stats.ttest_1samp(drawn.values, 5.0).pvalue
    assert p_value_of_trainings(drawn, exact) == pytest.approx(expected)
    assert p_value_of_trainings(exact, drawn) == pytest.approx(expected)


def test_nothing_is_said_where_nothing_is_known():
    one, two = Trainings([5.0], "a"), Trainings([5.0, 6.0], "bc")
    assert math.isnan(p_value_of_trainings(one, two))
    assert math.isnan(p_value_of_trainings(Trainings([5.0]), Trainings([6.0])))
    assert math.isnan(p_value_of_trainings(two, Trainings([5.0, math.inf], "de")))


def test_trainings_that_are_all_alike_differ_if_their_values_do():
    same, other = Trainings([5.0, 5.0], "ab"), Trainings([6.0, 6.0], "cd")
    assert p_value_of_trainings(same, other) == 0
    assert p_value_of_trainings(same, Trainings([5.0, 5.0], "cd")) == 1


def test_two_samples_of_one_method_come_out_as_different_in_one_case_of_twenty_at_most():
    rng = np.random.default_rng(0)
    draws = [(rng.normal(0, 1, 3), rng.normal(0, 1, 3)) for _ in range(1000)]
    n_apart = sum(
        p_value_of_trainings(Trainings(list(a), "abc"), Trainings(list(b), "def")) < 0.05
        for a, b in draws
    )
    assert n_apart <= 60
