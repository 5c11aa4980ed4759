from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms.voice_units import (
    fit_unvoiced,
    fit_voiced,
    subtracted,
    unvoiced_features,
    unvoiced_shares,
    voiced_features,
    voiced_shares,
)

RNG = np.random.default_rng(0)


def test_units_with_the_period_are_the_voices():
    wins = RNG.random((3, 400)) < 0.5
    fine = np.where(wins, 0.9, 0.2) + 0.1 * RNG.standard_normal((3, 400))
    features = voiced_features(fine, 0.1 * RNG.standard_normal((3, 400)))
    shares = voiced_shares(features, fit_voiced(features, wins))
    assert shares[wins].mean() > 0.9
    assert shares[~wins].mean() < 0.1


def test_a_filter_in_which_the_voice_never_wins_gives_it_next_to_nothing():
    features = voiced_features(RNG.random((2, 50)), RNG.random((2, 50)))
    wins = np.zeros((2, 50), bool)
    wins[1] = True
    shares = voiced_shares(features, fit_voiced(features, wins))
    assert shares[0] == pytest.approx(np.full(50, 0.5 / 51), rel=0.02)
    assert shares[1] == pytest.approx(np.full(50, 50.5 / 51), rel=0.02)


def test_unvoiced_units_are_told_by_their_energy():
    wins = RNG.random((2, 300)) < 0.4
    energies = np.exp(np.where(wins, 4.0, 0.0) + RNG.standard_normal((2, 300)))
    features = unvoiced_features(energies, RNG.standard_normal((300, 3)))
    assert features.shape == (2, 300, 5)
    shares = unvoiced_shares(features, fit_unvoiced(features, wins, 2, 0))
    assert shares[wins].mean() > 0.8
    assert shares[~wins].mean() < 0.2


def test_a_source_that_never_wins_has_the_prior_and_no_more():
    features = RNG.standard_normal((1, 200, 4))
    models = fit_unvoiced(features, np.zeros((1, 200), bool), 2, 0)
    assert unvoiced_shares(features, models) == pytest.approx(
        np.full((1, 200), 0.5 / 201), rel=0.02
    )
    nothing = fit_unvoiced(np.zeros((2, 0, 4)), np.zeros((2, 0), bool), 2, 0)
    assert np.isfinite(unvoiced_shares(np.ones((2, 3, 4)), nothing)).all()


def test_subtraction_takes_away_what_the_accompaniment_about_a_unit_has():
    shares, energies = np.zeros((1, 9)), np.ones((1, 9))
    shares[0, 4], energies[0, 4] = 1.0, 4.0
    left = subtracted(shares, energies, 1.0, 9)
    assert left[0, 4] == pytest.approx(np.sqrt(1 - 1 / 4))
    assert subtracted(shares, energies, 0.0, 9) == pytest.approx(shares)
    assert subtracted(shares, energies, 9.0, 9)[0, 4] == 0
