"""Gaussian mixtures of diagonal covariance as plain arrays, fitted by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.algorithms.nmf import ignored_convergence

Vector = NDArray[np.float64]
#: Weights ``(components,)``, means and variances ``(components, features)`` of one mixture.
Mixture = dict[str, NDArray[np.float64]]

#: Variance that is added to each feature, of features of variance 1.
FLOOR = 1e-3


def fitted(features: NDArray[np.float64], n_components: int, seed: int) -> Mixture:
    """Fit a mixture to features ``(observations, features)`` of variance about 1.

    Fewer components are fitted where there are fewer observations; the others have no weight.
    """
    from sklearn.mixture import GaussianMixture

    n_fitted = min(n_components, len(features))
    model = GaussianMixture(
        n_fitted, covariance_type="diag", reg_covar=FLOOR, max_iter=30, tol=1e-2, random_state=seed
    )
    with ignored_convergence():
        model.fit(features)
    missing = n_components - n_fitted
    return {
        "weights": np.pad(model.weights_, (0, missing)),
        "means": np.pad(model.means_, ((0, missing), (0, 0))),
        "variances": np.pad(model.covariances_, ((0, missing), (0, 0)), constant_values=1.0),
    }


def log_likelihood(features: NDArray[np.float64], mixture: Mixture) -> Vector:
    """Return the logarithm of the density at features, ``(observations,)``."""
    from scipy.special import logsumexp

    means, variances = mixture["means"], mixture["variances"]
    distance = (
        np.square(features) @ (1 / variances).T
        - 2 * features @ (means / variances).T
        + (np.square(means) / variances).sum(axis=1)
    )
    constant = np.log(2 * np.pi * variances).sum(axis=1)
    return np.asarray(logsumexp(-0.5 * (distance + constant), b=mixture["weights"], axis=1))
