"""The predominant pitch of a mixture: salience of each pitch, and the likeliest path through it.

    salience(f0, t) = sum over h = 1 to 10 of 0.8^(h - 1) |X(h f0, t)|,   h f0 below 4 kHz

of the voice that two stages of harmonic/percussive separation leave, where few partials of the
accompaniment are as strong. A Viterbi search joins the saliences by the pitch steps that singers
were heard to make.

References
----------
Hermes: Measurement of pitch by subharmonic summation, JASA 83(1), 1988 (the sum with a decay; the
number of harmonics and the decay are the suite's own).
Hsu, Wang, Jang, Hu: A tandem algorithm for singing pitch extraction and voice separation from
music accompaniment, IEEE TASLP 20(5), 2012 (enhancement by harmonic/percussive separation).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.algorithms.harmonic_percussive import window_length
from bench import stft
from bench.track import hertz_of

Vector = NDArray[np.float64]

#: Step between two pitches that are searched, in semitones.
STEP = 0.25
#: The pitches that are searched, in semitones (MIDI numbers): 73 to 918 Hz.
SEMITONES = np.arange(38.0, 82.0, STEP)
#: Number of harmonics, and the weight of each against the one below.
N_HARMONICS, DECAY = 10, 0.8
#: Frequency in hertz from which on harmonics do not count.
HIGHEST = 4_000.0
#: Length of the analysis window in milliseconds.
WINDOW_MS = 128.0
#: Largest step between two frames in semitones.
LARGEST_STEP = 12.0


def harmonic_salience(audio: Vector, rate: int, n_fft: int, hop: int) -> NDArray[np.float64]:
    """Return the salience of each of `SEMITONES` in each frame of a transform.

    Parameters
    ----------
    audio
        ``(samples,)``.
    rate
        Sampling rate in hertz.
    n_fft, hop
        Window length and step of the transform, whose frames' centres count, in samples.

    Returns
    -------
    ndarray
        ``(frames, pitches)``.
    """
    import librosa

    length = window_length(WINDOW_MS, rate)
    padded = np.pad(audio, (0, max(0, 2 * length - len(audio))))  # to a whole window at least
    magnitude = np.abs(
        librosa.stft(padded, n_fft=2 * length, win_length=length, hop_length=hop, window="hann")
    ).T
    salience = np.zeros((stft.n_frames(len(audio), n_fft, hop), len(SEMITONES)))
    first = stft.lead(n_fft, hop)
    inside = salience[first : first + len(magnitude)]
    magnitude = magnitude[: len(inside)]
    for harmonic in range(1, N_HARMONICS + 1):
        frequency = harmonic * hertz_of(SEMITONES)
        place = frequency * 2 * length / rate
        heard = frequency < min(HIGHEST, rate / 2)
        below = place[heard].astype(int)
        share = place[heard] - below
        value = magnitude[:, below] * (1 - share) + magnitude[:, below + 1] * share
        inside[:, heard] += DECAY ** (harmonic - 1) * value
    return salience


def standardised(salience: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return saliences with mean 0 and deviation 1 in each frame; 0 in a silent one."""
    centred = salience - salience.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-12))


def step_probabilities(pitches: list[Vector]) -> Vector:
    """Return how probable each step between two frames is, from -`LARGEST_STEP` to `LARGEST_STEP`.

    Parameters
    ----------
    pitches
        Pitch of each frame of each piece in hertz, 0 where there is none.

    Returns
    -------
    ndarray
        ``(steps,)``; each step counts half a time more than it was heard.
    """
    widest = round(LARGEST_STEP / STEP)
    counts = np.full(2 * widest + 1, 0.5)
    for pitch in pitches:
        both = (pitch[:-1] > 0) & (pitch[1:] > 0)
        steps = 12 * np.log2(pitch[1:][both] / pitch[:-1][both]) / STEP
        near = np.round(steps[np.abs(steps) < widest]).astype(int)
        np.add.at(counts, near + widest, 1.0)
    return np.asarray(counts / counts.sum())


def likeliest_pitch(salience: NDArray[np.float64], steps: Vector, sharpness: float) -> Vector:
    """Return the likeliest path of a pitch in hertz, ``(frames,)``; it has a pitch in every frame.

    Parameters
    ----------
    salience
        ``(frames, pitches)``; a pitch is ``exp(sharpness z)`` times as likely as one at the mean,
        z its standardised salience.
    steps
        Probability of each step between two frames; see `step_probabilities`.
    sharpness
        Weight of the salience against the steps.
    """
    import librosa

    widest = len(steps) // 2
    n_pitches = salience.shape[1]
    place = np.arange(n_pitches)
    distance = place[None] - place[:, None]
    transition = np.where(
        np.abs(distance) <= widest, steps[np.clip(distance + widest, 0, 2 * widest)], 0.0
    )
    transition /= transition.sum(axis=1, keepdims=True)
    weighted = sharpness * standardised(salience)
    likelihood = np.exp(weighted - weighted.max(axis=1, keepdims=True))
    path = librosa.sequence.viterbi(likelihood.T, transition)
    return hertz_of(SEMITONES[path])
