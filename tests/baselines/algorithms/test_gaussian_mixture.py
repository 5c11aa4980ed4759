from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from baselines.algorithms import gaussian_mixture

FEATURES = np.concatenate([np.random.default_rng(n).normal(3 * n, 1.0, (200, 3)) for n in range(2)])


def test_the_likelihood_is_scikit_learns():
    mixture = gaussian_mixture.fitted(FEATURES, 2, 0)
    model = GaussianMixture(2, covariance_type="diag")
    model.weights_, model.means_, model.covariances_ = mixture.values()
    model.precisions_cholesky_ = 1 / np.sqrt(mixture["variances"])
    values = gaussian_mixture.log_likelihood(FEATURES, mixture)
    assert values == pytest.approx(model.score_samples(FEATURES), rel=1e-9)
    assert sorted(mixture["means"].mean(axis=1).round()) == [0.0, 3.0]


def test_components_beyond_the_observations_have_no_weight():
    mixture = gaussian_mixture.fitted(FEATURES[:3], 5, 0)
    assert mixture["means"].shape == (5, 3)
    assert np.count_nonzero(mixture["weights"]) == 3
    assert np.isfinite(gaussian_mixture.log_likelihood(FEATURES, mixture)).all()
