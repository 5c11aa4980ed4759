from __future__ import annotations

import librosa
import numpy as np
import pandas as pd
import pytest
import torch

from bench.scoring.aggregate import over_tracks
from bench.scoring.protocols import score_track
from bench.scoring.spectral import bleedless_and_fullness, multi_resolution_distance
from bench.track import TARGETS, Track

RATE = 44_100


@pytest.fixture
def reference():
    rng = np.random.default_rng(1234)
    envelope = np.linspace(0.1, 1.0, RATE)
    return 0.01 * envelope * rng.standard_normal((2, RATE))


def noise_like(signal, level):
    return level * signal.std() * np.random.default_rng(5).standard_normal(signal.shape)


def magnitudes(signal, n_fft):
    """Magnitudes by PyTorch, frames centred and padded with zeros."""
    spectrogram = torch.stft(
        torch.from_numpy(signal),
        n_fft,
        n_fft // 4,
        window=torch.hann_window(n_fft, dtype=torch.float64),
        pad_mode="constant",
        return_complex=True,
    )
    return spectrogram.abs().numpy()


@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_bleedless_and_fullness_are_those_of_their_definition_at_44100_hz(reference):
    estimate = 0.7 * reference + noise_like(reference, 0.2)
    levels = []
    for signal in (reference, estimate):
        bands = librosa.filters.mel(sr=RATE, n_fft=4096, n_mels=512) @ magnitudes(signal, 4096)
        levels.append(librosa.amplitude_to_db(bands, ref=1.0, amin=1e-10, top_db=80.0))
    difference = levels[1] - levels[0]
    expected = (
        100 / (1 + difference[difference > 0].mean()),
        100 / (1 - difference[difference < 0].mean()),
    )
    assert bleedless_and_fullness(reference, estimate, RATE) == pytest.approx(expected, rel=1e-9)


def test_the_distance_is_that_of_its_definition_at_44100_hz(reference):
    estimate = 0.7 * reference + noise_like(reference, 0.2)
    expected = []
    for n_fft in (1024, 2048, 4096):
        truth, guess = magnitudes(reference, n_fft), magnitudes(estimate, n_fft)
        floor = 1e-4 * truth.max()
        logarithms = np.log(np.maximum(truth, floor)) - np.log(np.maximum(guess, floor))
        ratio = np.sqrt(((truth - guess) ** 2).sum() / (truth**2).sum())
        expected.append(ratio + np.abs(logarithms).mean())
    distance = multi_resolution_distance(reference, estimate, RATE)
    assert distance == pytest.approx(np.mean(expected), rel=1e-9)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_perfect_estimate_has_the_best_values_and_more_noise_worse_ones(reference, rate):
    assert multi_resolution_distance(reference, reference, rate) == 0
    assert bleedless_and_fullness(reference, reference, rate) == (100, 100)
    noisy = [reference + noise_like(reference, level) for level in (0.1, 0.3, 1.0)]
    distances = [multi_resolution_distance(reference, estimate, rate) for estimate in noisy]
    assert distances == sorted(distances)
    bleedless = [bleedless_and_fullness(reference, estimate, rate)[0] for estimate in noisy]
    assert bleedless == sorted(bleedless, reverse=True)


def test_noise_costs_bleedless_and_a_missing_band_costs_fullness(reference):
    spectrum = np.fft.rfft(reference)
    spectrum[:, len(spectrum[0]) // 2 :] = 0
    dull = np.fft.irfft(spectrum, reference.shape[1])
    bleedless, fullness = bleedless_and_fullness(reference, dull, RATE)
    assert fullness < 10 < 90 < bleedless
    bleedless, fullness = bleedless_and_fullness(dull, reference, RATE)
    assert bleedless < 10 < 90 < fullness


def test_the_distance_does_not_depend_on_the_level_of_the_corpus(reference):
    estimate = reference + noise_like(reference, 0.3)
    distance = multi_resolution_distance(reference, estimate, RATE)
    louder = multi_resolution_distance(1e4 * reference, 1e4 * estimate, RATE)
    assert louder == pytest.approx(distance, rel=1e-12)


def test_bleedless_and_fullness_do_not_depend_on_the_level_of_the_corpus(reference):
    estimate = 0.7 * reference + noise_like(reference, 0.2)
    measures = bleedless_and_fullness(reference, estimate, RATE)
    softer = bleedless_and_fullness(1e-3 * reference, 1e-3 * estimate, RATE)
    assert softer == pytest.approx(measures, rel=1e-6)


def test_a_silent_reference_has_no_value_and_a_silent_estimate_a_finite_one(reference):
    silence = np.zeros_like(reference)
    track = Track("a", RATE, {"vocals": silence, "accompaniment": reference})
    for name in ("mr_stft", "bleed_fullness"):
        rows = score_track(name, track, dict.fromkeys(TARGETS, silence))
        values = {(row["target"], row["metric"]): row["value"] for row in rows}
        assert all(np.isnan(v) == (target == "vocals") for (target, _), v in values.items())
        assert all(np.isfinite(v) for (target, _), v in values.items() if target != "vocals")


def test_many_tracks_are_put_together_by_their_mean(reference):
    rows = []
    for name, level in (("a", 0.1), ("b", 0.5)):
        track = Track(name, RATE, dict.fromkeys(TARGETS, reference))
        estimate = reference + noise_like(reference, level)
        rows += score_track("mr_stft", track, dict.fromkeys(TARGETS, estimate))
    over = over_tracks(pd.DataFrame(rows)).set_index("target")["value"]
    assert over["vocals"] == pytest.approx(np.mean([row["value"] for row in rows]))
