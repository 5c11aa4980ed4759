from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms.frame_kinds import (
    cepstra,
    fit_kinds,
    likeliest_kinds,
    transition_probabilities,
    true_kinds,
)


def test_frames_are_voiced_by_their_pitch_and_unvoiced_by_their_level():
    pitch = np.array([220.0, 220.0, 0.0, 0.0, 0.0])
    energy = np.array([1.0, 3.0, 1.0, 1e-3, 0.0])
    assert list(true_kinds(pitch, energy)) == [2, 2, 1, 0, 0]
    assert list(true_kinds(np.zeros(2), np.ones(2))) == [0, 0]


def test_transitions_are_counted_from_one_and_do_not_cross_pieces():
    pieces = [np.array([0, 0, 2, 2]), np.array([1, 1])]
    expected = np.array([[2, 1, 2], [1, 2, 1], [1, 1, 2]])
    rows = expected / expected.sum(axis=1, keepdims=True)
    assert transition_probabilities(pieces) == pytest.approx(rows)


def test_kinds_are_told_apart_by_their_features_and_a_lone_odd_frame_is_not_believed():
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], 60)
    features = kinds[:, None] * 3.0 + rng.standard_normal((180, 2))
    models = fit_kinds(features, kinds, 2, 0)
    transitions = transition_probabilities([kinds])
    assert (likeliest_kinds(features, models, transitions, 1.0) == kinds).mean() > 0.97
    odd = features.copy()
    odd[30] = 6.0  # as a voiced frame, amid accompaniment
    assert likeliest_kinds(odd, models, transitions, 0.1)[30] == 0


def test_cepstra_of_a_louder_frame_differ_in_the_first_coefficient_alone():
    magnitude = np.abs(np.random.default_rng(0).standard_normal((513, 4)))
    one, two = cepstra(magnitude, 16_000), cepstra(2 * magnitude, 16_000)
    assert (two - one)[:, 1:] == pytest.approx(np.zeros((4, 12)), abs=1e-9)
    assert (two - one)[:, 0] == pytest.approx(np.full(4, 20 * np.log10(2) * np.sqrt(40)))
