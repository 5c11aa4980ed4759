from __future__ import annotations

import numpy as np

from baselines.algorithms.harmonic_percussive import harmonic_and_percussive, high_pass
from baselines.hpss import HPSS

RATE = 16_000
TIME = np.arange(4 * RATE) / RATE


def energy(audio) -> float:
    return float(np.sum(np.square(audio)))


def clicks() -> np.ndarray:
    audio = np.zeros(len(TIME))
    audio[RATE // 4 :: RATE // 2] = 1.0
    return audio[None]


def tone() -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * 440 * TIME)[None]


def test_a_tone_is_harmonic_and_a_click_percussive():
    harmonic, percussive = harmonic_and_percussive(tone(), 1024, 17)
    assert energy(harmonic) > 0.9 * energy(tone())
    assert energy(percussive) < 0.05 * energy(tone())
    harmonic, percussive = harmonic_and_percussive(clicks(), 1024, 17)
    assert energy(percussive) > 0.9 * energy(clicks())
    assert energy(harmonic) < 0.05 * energy(clicks())


def test_both_parts_add_up():
    audio = tone() + clicks()
    harmonic, percussive = harmonic_and_percussive(audio, 512, 17)
    assert np.abs(harmonic + percussive - audio).max() < 1e-12


def test_a_gliding_voice_is_kept_where_steady_tones_and_clicks_are_not():
    depth = 40 * np.sin(2 * np.pi * 5.5 * TIME)
    voice = sum(
        np.sin(2 * np.pi * h * (300 * TIME + np.cumsum(depth) / RATE)) / h for h in (1, 2, 3)
    )[None]
    steady = tone() * 10 + 0.5 * np.sin(2 * np.pi * 660 * TIME)
    beats = 20 * clicks()
    method = HPSS(long_ms=256.0, short_ms=32.0)
    kept = {
        name: energy(method.separate(audio, RATE)["vocals"]) / energy(audio)
        for name, audio in (("voice", voice), ("steady", steady), ("beats", beats))
    }
    assert kept["voice"] > 0.1
    assert max(kept["steady"], kept["beats"]) < 0.01


def test_a_song_cut_at_its_alignment_is_separated_as_a_whole_but_for_what_it_looks_ahead():
    rate, method = 8000, HPSS()
    audio = 0.1 * np.random.default_rng(0).standard_normal((1, 9 * rate))
    step, ahead = method.alignment(rate), method.lookahead(rate)
    first = 2 * rate // step * step
    whole = method.separate(audio, rate)["vocals"]
    cut = np.zeros_like(whole)
    cut[:, first:] = method.separate(audio[:, first:], rate)["vocals"]
    shorter = method.separate(audio[:, : 7 * rate], rate)["vocals"]
    late = slice(first + ahead, None)
    early = slice(0, 7 * rate - ahead)
    assert np.abs(cut - whole)[:, late].max() < 1e-9
    assert np.abs(shorter - whole[:, : 7 * rate])[:, early].max() < 1e-9


def test_nothing_below_100_hz_is_voice():
    low = np.sin(2 * np.pi * 50 * TIME)[None]
    assert energy(high_pass(low, RATE)) < 1e-3 * energy(low)
    assert energy(high_pass(tone(), RATE)) > 0.999 * energy(tone())
