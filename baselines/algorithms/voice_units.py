"""Which units of a filterbank are the voice's: by their period, by their spectrum, by their energy.

    voiced     P = logistic(w0 + w1 r + w2 e + w3 r^2 + w4 e^2)
    unvoiced   P = p(features | voice) P(voice) / sum over both sources
    rest       P sqrt((1 - subtraction N / E)+)

with r and e the correlations of a unit and of its envelope at the voice's period, E the unit's
energy and N the mean energy of the accompaniment in the same filter about it. Every filter has
weights and Gaussian mixtures of its own.

References
----------
Li, Wang: Separation of singing voice from music accompaniment for monaural recordings, IEEE TASLP
15(4), 2007 (units labelled by their period).
Hsu, Jang: On the improvement of singing voice separation for monaural recordings using the MIR-1K
dataset, IEEE TASLP 18(2), 2010 (unvoiced units by Gaussian mixtures, and spectral subtraction).
Boll: Suppression of acoustic noise in speech using spectral subtraction, IEEE TASSP 27(2), 1979.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from baselines.algorithms import gaussian_mixture

Features = NDArray[np.float64]
Wins = NDArray[np.bool_]


def voiced_features(fine: Features, envelope: Features) -> Features:
    """Return both correlations and their squares: ``(filters, frames, 4)``."""
    return np.stack([fine, envelope, fine**2, envelope**2], axis=-1)


def fit_voiced(features: Features, wins: Wins) -> Features:
    """Return the weights of each filter's logistic regression, the constant first.

    Parameters
    ----------
    features
        ``(filters, units, 4)``.
    wins
        Whether the voice is the louder source in a unit, ``(filters, units)``.

    Returns
    -------
    ndarray
        ``(filters, 5)``.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((len(features), features.shape[2] + 1))
    for n, (of_filter, won) in enumerate(zip(features, wins, strict=True)):
        share = (won.sum() + 0.5) / (len(won) + 1.0)
        weights[n, 0] = np.log(share / (1.0 - share))
        if won.any() and not won.all():
            model = LogisticRegression().fit(of_filter, won)
            weights[n] = np.concatenate([model.intercept_, model.coef_[0]])
    return weights


def voiced_shares(features: Features, weights: Features) -> Features:
    """Return the probability that each unit of voiced frames is the voice's.

    Parameters
    ----------
    features
        ``(filters, units, features)``.
    weights
        Those of `fit_voiced`, ``(filters, 1 + features)``, the constant first.

    Returns
    -------
    ndarray
        ``(filters, units)``.
    """
    score = np.einsum("cfk,ck->cf", features, weights[:, 1:]) + weights[:, :1]
    return np.asarray(scipy.special.expit(score))


def unvoiced_features(energies: Features, cepstra: Features) -> Features:
    """Return a frame's cepstra, a unit's log energy, and that less the frame's mean of it.

    Parameters
    ----------
    energies
        ``(filters, frames)``.
    cepstra
        ``(frames, coefficients)``.

    Returns
    -------
    ndarray
        ``(filters, frames, coefficients + 2)``.
    """
    level = np.log(energies + 1e-6)
    of_frames = np.broadcast_to(cepstra, (len(energies), *cepstra.shape))
    within = level - level.mean(axis=0)
    return np.concatenate([of_frames, level[..., None], within[..., None]], axis=-1)


def fit_unvoiced(
    features: Features, wins: Wins, n_components: int, seed: int
) -> dict[str, Features]:
    """Fit two Gaussian mixtures a filter: of units in which accompaniment or voice is louder.

    Parameters
    ----------
    features
        ``(filters, units, features)``.
    wins
        Whether the voice is the louder source in a unit, ``(filters, units)``.
    n_components
        Gaussians of each.
    seed
        Seed of the starts.

    Returns
    -------
    dict
        Mean and deviation of each filter's features, logarithms of how often each source is the
        louder one, and the Gaussian mixtures, two a filter, `stacked`. A source that is never the
        louder one has the Gaussian mixture of all units.
    """
    n_filters, n_units, n_features = features.shape
    if n_units == 0:
        features, wins = np.zeros((n_filters, 1, n_features)), np.zeros((n_filters, 1), bool)
    mean, deviation = features.mean(axis=1), features.std(axis=1) + 1e-6
    log_prior = np.empty((n_filters, 2))
    models = []
    for n in range(n_filters):
        scaled = (features[n] - mean[n]) / deviation[n]
        for is_voice in (False, True):
            own = scaled[wins[n] == is_voice]
            log_prior[n, int(is_voice)] = np.log((len(own) + 0.5) / (len(scaled) + 1.0))
            heard = own if len(own) else scaled
            models.append(gaussian_mixture.fitted(heard, n_components, seed))
    stack = gaussian_mixture.stacked(models)
    return {"mean": mean, "deviation": deviation, "log_prior": log_prior, **stack}


def unvoiced_shares(features: Features, models: dict[str, Features]) -> Features:
    """Return the probability that each unit of unvoiced frames is the voice's.

    Parameters
    ----------
    features
        ``(filters, units, features)``.
    models
        Those of `fit_unvoiced`.

    Returns
    -------
    ndarray
        ``(filters, units)``.
    """
    scaled = (features - models["mean"][:, None]) / models["deviation"][:, None]
    shares = np.empty(features.shape[:2])
    for n, of_filter in enumerate(scaled):
        accompaniment, voice = (
            gaussian_mixture.log_likelihood(of_filter, gaussian_mixture.nth_of(models, 2 * n + i))
            + models["log_prior"][n, i]
            for i in (0, 1)
        )
        shares[n] = scipy.special.expit(voice - accompaniment)
    return shares


def subtracted(shares: Features, energies: Features, subtraction: float, span: int) -> Features:
    """Return the shares less what the accompaniment about each unit makes likely in it.

    Parameters
    ----------
    shares
        Probability that each unit is the voice's, ``(filters, frames)``.
    energies
        ``(filters, frames)``.
    subtraction
        Share of the accompaniment's energy that is subtracted.
    span
        Number of frames about a unit over which the accompaniment's energy is averaged, each unit
        by what it is the accompaniment's.
    """
    weighted_energy, weight = (
        scipy.ndimage.uniform_filter1d(values, span, axis=1)
        for values in ((1.0 - shares) * energies, 1.0 - shares)
    )
    accompaniment = weighted_energy / np.maximum(weight, 1e-9)
    left = 1.0 - subtraction * accompaniment / np.maximum(energies, 1e-30)
    return np.asarray(shares * np.sqrt(np.clip(left, 0.0, 1.0)))
