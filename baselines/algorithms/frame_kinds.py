"""What each frame of a mixture holds, by a hidden Markov model: accompaniment, unvoiced, voiced.

    P(kinds | features) ~ prod over t of P(kind_t | kind_t-1) P(features_t | kind_t)^evidence

Each kind's features have a Gaussian mixture. Features are the cepstra of the mixture and of the
voice that two stages of harmonic/percussive separation leave, with their changes over time, and how
the strongest pitch stands out. The likeliest kinds are found by a Viterbi search.

References
----------
Hsu, Jang: On the improvement of singing voice separation for monaural recordings using the MIR-1K
dataset, IEEE TASLP 18(2), 2010 (the three kinds, by a hidden Markov model of cepstra).
Rabiner: A tutorial on hidden Markov models and selected applications in speech recognition,
Proceedings of the IEEE 77(2), 1989.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.algorithms import gaussian_mixture
from baselines.algorithms.predominant_pitch import standardised

Features = NDArray[np.float64]
Kinds = NDArray[np.int_]

ACCOMPANIMENT, UNVOICED, VOICED = range(3)
#: Least energy of an unvoiced frame, as a share of the mean energy of the voice's voiced frames.
UNVOICED_SHARE = 10 ** (-25 / 10)
#: Number of cepstral coefficients, and of mel bands of which they are made.
N_CEPSTRA, N_BANDS = 13, 40
#: Number of features of a frame.
N_FEATURES = 2 * 3 * N_CEPSTRA + 2


def true_kinds(pitch: NDArray[np.float64], energy: NDArray[np.float64]) -> Kinds:
    """Return what each frame holds by the true voice.

    Parameters
    ----------
    pitch
        Its pitch in hertz, 0 where there is none; ``(frames,)``.
    energy
        Its energy, ``(frames,)``.

    Returns
    -------
    ndarray
        `ACCOMPANIMENT`, `UNVOICED` or `VOICED` for each frame, ``(frames,)``.
    """
    voiced = pitch > 0
    loud = energy > UNVOICED_SHARE * (energy[voiced].mean() if voiced.any() else np.inf)
    return np.where(voiced, VOICED, np.where(loud, UNVOICED, ACCOMPANIMENT))


def cepstra(magnitude: Features, rate: int) -> Features:
    """Return the mel-frequency cepstra of each frame, ``(frames, N_CEPSTRA)``.

    Parameters
    ----------
    magnitude
        Magnitudes of the transform of audio whose level is 1, ``(bins, frames)``.
    rate
        Sampling rate in hertz.
    """
    import librosa

    bands = librosa.feature.melspectrogram(S=np.square(magnitude), sr=rate, n_mels=N_BANDS)
    decibels = librosa.power_to_db(bands, amin=1e-8, top_db=None)
    return np.asarray(librosa.feature.mfcc(S=decibels, n_mfcc=N_CEPSTRA).T)


def frame_features(of_mixture: Features, of_voice: Features, salience: Features) -> Features:
    """Return the features of each frame, ``(frames, N_FEATURES)``.

    Parameters
    ----------
    of_mixture, of_voice
        Cepstra, ``(frames, N_CEPSTRA)``.
    salience
        Salience of each pitch, ``(frames, pitches)``.
    """
    strongest = [np.log(salience.max(axis=1) + 1e-6), standardised(salience).max(axis=1)]
    return np.hstack([_with_changes(of_mixture), _with_changes(of_voice), np.stack(strongest, 1)])


def _with_changes(of_frames: Features) -> Features:
    """Return cepstra with their first and second change over time, ``(frames, 3 N_CEPSTRA)``."""
    import librosa

    changes = (
        librosa.feature.delta(of_frames.T, width=5, order=order, mode="nearest").T
        for order in (1, 2)
    )
    return np.hstack([of_frames, *changes])


def fit_kinds(
    features: Features, kinds: Kinds, n_components: int, seed: int
) -> dict[str, Features]:
    """Fit a Gaussian mixture to each kind of frame.

    Parameters
    ----------
    features
        ``(frames, N_FEATURES)``.
    kinds
        ``(frames,)``. A kind that was never heard has the Gaussian mixture of all frames.
    n_components
        Gaussians of each kind.
    seed
        Seed of the starts.

    Returns
    -------
    dict
        Mean and deviation of the features, and the three Gaussian mixtures, `stacked`.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled = (features - mean) / deviation
    of_kinds = [scaled[kinds == kind] for kind in (ACCOMPANIMENT, UNVOICED, VOICED)]
    models = [
        gaussian_mixture.fitted(own if len(own) else scaled, n_components, seed) for own in of_kinds
    ]
    return {"mean": mean, "deviation": deviation, **gaussian_mixture.stacked(models)}


def transition_probabilities(pieces: Sequence[Kinds]) -> Features:
    """Return how probable each kind of frame is after each, ``(3, 3)``; a row adds up to 1."""
    counts = np.ones((3, 3))
    for kinds in pieces:
        np.add.at(counts, (kinds[:-1], kinds[1:]), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def likeliest_kinds(
    features: Features, models: dict[str, Features], transitions: Features, evidence: float
) -> Kinds:
    """Return the likeliest kind of each frame, ``(frames,)``.

    Parameters
    ----------
    features
        ``(frames, N_FEATURES)``.
    models
        What `fit_kinds` returns.
    transitions
        What `transition_probabilities` returns.
    evidence
        Weight of the features against the transitions.
    """
    import librosa

    scaled = (features - models["mean"]) / models["deviation"]
    log_likelihood = np.stack(
        [
            gaussian_mixture.log_likelihood(scaled, gaussian_mixture.nth_of(models, kind))
            for kind in (ACCOMPANIMENT, UNVOICED, VOICED)
        ]
    )
    likelihood = np.exp(evidence * (log_likelihood - log_likelihood.max(axis=0)))
    return np.asarray(librosa.sequence.viterbi(likelihood, transitions))
