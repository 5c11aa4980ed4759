from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms import predominant_pitch
from bench import stft
from bench.track import hertz_of

RATE, N_FFT, HOP = 16_000, 1024, 256
TIME = np.arange(2 * RATE) / RATE


def glide() -> tuple[np.ndarray, np.ndarray]:
    """A voice that rises from 200 to 300 Hz within two seconds, and its pitch in each frame."""
    pitch = 200 * 1.5 ** (TIME / 2)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    centres = (np.arange(stft.n_frames(len(TIME), N_FFT, HOP)) - stft.lead(N_FFT, HOP)) * HOP
    return sum(np.sin(h * phase) / h for h in range(1, 9)), np.interp(centres / RATE, TIME, pitch)


def semitones_apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.abs(12 * np.log2(one / two))


def test_a_glide_under_noise_is_followed_within_half_a_semitone():
    voice, pitch = glide()
    noise = np.random.default_rng(0).standard_normal(len(voice))
    salience = predominant_pitch.harmonic_salience(voice + noise, RATE, N_FFT, HOP)
    steps = predominant_pitch.step_probabilities([pitch])
    followed = predominant_pitch.likeliest_pitch(salience, steps, 2.0)
    assert (semitones_apart(followed, pitch)[5:-5] < 0.5).all()


def test_steps_bridge_a_gap_that_the_salience_alone_does_not():
    """For 80 ms only a tone at another pitch is heard; the voice cannot have jumped there."""
    voice, pitch = glide()
    gap = (TIME > 1.0) & (TIME < 1.08)
    heard = np.where(gap, np.sin(2 * np.pi * 700 * TIME), voice)
    salience = predominant_pitch.harmonic_salience(heard, RATE, N_FFT, HOP)
    loudest = hertz_of(predominant_pitch.SEMITONES[salience.argmax(axis=1)])
    assert semitones_apart(loudest, pitch)[5:-5].max() > 6
    steps = predominant_pitch.step_probabilities([pitch] * 10)
    followed = predominant_pitch.likeliest_pitch(salience, steps, 0.3)
    assert (semitones_apart(followed, pitch)[5:-5] < 1.0).all()


def test_steps_are_counted_between_voiced_frames_alone():
    pitch = hertz_of(np.array([60.0, 60.0, 60.5, 0.0, 72.0, 71.5]))
    pitch[3] = 0.0
    steps = predominant_pitch.step_probabilities([pitch])
    middle = len(steps) // 2
    assert steps.sum() == pytest.approx(1.0)
    unheard = steps[0]
    heard = {0: 1.0, 2: 1.0, -2: 1.0}
    for step in range(-4, 5):
        assert steps[middle + step] / unheard == pytest.approx(1 + 2 * heard.get(step, 0.0))


def test_silence_has_no_salience_and_any_pitch():
    salience = predominant_pitch.harmonic_salience(np.zeros(RATE), RATE, N_FFT, HOP)
    assert not salience.any()
    steps = predominant_pitch.step_probabilities([np.full(9, 220.0)])
    assert np.isfinite(predominant_pitch.likeliest_pitch(salience, steps, 2.0)).all()
