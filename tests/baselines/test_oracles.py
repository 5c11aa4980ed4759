from __future__ import annotations

import numpy as np
import pytest

from baselines.oracles import (
    IdealBinaryMask,
    IdealRatioMask,
    MultichannelWiener,
    PhaseSensitiveMask,
)
from bench.track import TARGETS, Track


def spectra(seed=0):
    rng = np.random.default_rng(seed)
    draw = rng.standard_normal((2, 1, 6, 7, 2))
    return {t: draw[i, ..., 0] + 1j * draw[i, ..., 1] for i, t in enumerate(TARGETS)}


def test_the_binary_mask_keeps_what_is_louder():
    s = spectra()
    mask = IdealBinaryMask().track_masks(s, 16_000)["vocals"]
    assert ((mask == 1) == (np.abs(s["vocals"]) >= np.abs(s["accompaniment"]))).all()


@pytest.mark.parametrize("power", [1, 2])
def test_the_ratio_mask_is_the_share_of_magnitude_or_power(power):
    s = spectra()
    voice, other = (np.abs(s[t]) ** power for t in TARGETS)
    mask = IdealRatioMask(power=power).track_masks(s, 16_000)["vocals"]
    assert np.allclose(mask, voice / (voice + other), rtol=1e-12)


def test_a_ratio_mask_with_a_cutoff_is_what_a_system_at_half_the_rate_could_reach(test_track):
    cut, whole = (IdealRatioMask(cutoff_hz=f).separate_track(test_track) for f in (4_000, 0))
    frequencies = np.fft.rfftfreq(test_track.n_samples, 1 / test_track.rate)
    above, below = frequencies > 4_100, frequencies < 3_900

    def energy(audio, inside):
        return np.sum(np.abs(np.fft.rfft(audio))[..., inside] ** 2)

    voice = cut["vocals"]
    assert energy(voice, above) < 1e-3 * energy(whole["vocals"], above)
    assert energy(voice - whole["vocals"], below) < 1e-3 * energy(whole["vocals"], below)
    assert np.abs(voice + cut["accompaniment"] - test_track.mixture).max() < 1e-12


def test_no_real_mask_in_0_and_1_is_nearer_to_the_voice_than_the_phase_sensitive_one():
    s = spectra()
    mixture = s["vocals"] + s["accompaniment"]
    mask = PhaseSensitiveMask().track_masks(s, 16_000)["vocals"]

    def error(m):
        return np.abs(m * mixture - s["vocals"]) ** 2

    for other in np.linspace(0, 1, 21):
        assert (error(mask) <= error(other) + 1e-12).all()


def test_the_multichannel_filter_on_mono_is_the_power_ratio(test_track):
    ratio = IdealRatioMask(power=2).separate_track(test_track)["vocals"]
    filtered = MultichannelWiener().separate_track(test_track)["vocals"]
    assert np.abs(filtered - ratio).max() < 1e-8 * np.abs(ratio).max()


def test_the_multichannel_filter_tells_sources_apart_by_place_where_a_mask_cannot():
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((2, 16_000))  # alike in every bin
    places = np.array([[1.0, 0.2], [0.3, 1.0]])
    images = {t: places[i][:, None] * sources[i] for i, t in enumerate(TARGETS)}
    track = Track("places", 16_000, images)

    def error(method):
        estimate = method.separate_track(track)["vocals"]
        return np.sum((estimate - images["vocals"]) ** 2) / np.sum(images["vocals"] ** 2)

    assert error(MultichannelWiener()) < 1e-6
    assert error(IdealRatioMask(power=2)) > 0.05
