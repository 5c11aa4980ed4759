"""Gaussian mixtures of diagonal covariance as plain arrays, fitted by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
#: Weights ``(components,)``, means and variances ``(components, features)`` of a Gaussian mixture.
GaussianMixtureArrays = dict[str, NDArray[np.float64]]

#: Names of the arrays.
NAMES = ("weights", "means", "variances")
#: Variance that is added to each feature, of features of variance 1.
FLOOR = 1e-3


def fitted(features: NDArray[np.float64], n_components: int, seed: int) -> GaussianMixtureArrays:
    """Fit a Gaussian mixture by expectation and maximisation.

    Parameters
    ----------
    features
        ``(observations, features)``, of variance about 1; at least one observation.
    n_components
        Number of Gaussians. Where there are fewer observations, so many are fitted, and the others
        have no weight.
    seed
        Seed of the start.

    Returns
    -------
    dict
        The arrays of the mixture; see `GaussianMixtureArrays`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(features) == 1:
        features = np.repeat(features, 2, axis=0)  # scikit-learn wants two
    n_fitted = min(n_components, len(features))
    model = GaussianMixture(
        n_fitted, covariance_type="diag", reg_covar=FLOOR, max_iter=30, tol=1e-2, random_state=seed
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # equal features
        model.fit(features)
    missing = n_components - n_fitted
    return {
        "weights": np.pad(model.weights_, (0, missing)),
        "means": np.pad(model.means_, ((0, missing), (0, 0))),
        "variances": np.pad(model.covariances_, ((0, missing), (0, 0)), constant_values=1.0),
    }


def stacked(mixtures: Sequence[GaussianMixtureArrays]) -> GaussianMixtureArrays:
    """Return Gaussian mixtures as arrays with one more axis in front."""
    return {name: np.stack([mixture[name] for mixture in mixtures]) for name in NAMES}


def nth_of(stack: GaussianMixtureArrays, n: int) -> GaussianMixtureArrays:
    """Return the n-th Gaussian mixture of those that were `stacked`."""
    return {name: stack[name][n] for name in NAMES}


def log_likelihood(features: NDArray[np.float64], mixture: GaussianMixtureArrays) -> Vector:
    """Return the logarithm of the density at features.

    Parameters
    ----------
    features
        ``(observations, features)``.
    mixture
        The arrays of a mixture; see `GaussianMixtureArrays`.

    Returns
    -------
    ndarray
        ``(observations,)``.
    """
    from scipy.special import logsumexp

    means, variances = mixture["means"], mixture["variances"]
    distance = (
        np.square(features) @ (1 / variances).T
        - 2 * features @ (means / variances).T
        + (np.square(means) / variances).sum(axis=1)
    )
    constant = np.log(2 * np.pi * variances).sum(axis=1)
    return np.asarray(logsumexp(-0.5 * (distance + constant), b=mixture["weights"], axis=1))
