from __future__ import annotations

import pytest
import torch

from baselines.networks.drnn.features import N_MELS, Features, mel_bands, with_context


@pytest.fixture
def magnitudes():
    generator = torch.Generator().manual_seed(0)
    tilt = torch.logspace(1, -3, 513)
    return tilt * torch.rand(400, 513, generator=generator) + 1e-3


def test_context_repeats_the_edges():
    x = torch.arange(3.0).reshape(1, 3, 1)
    assert with_context(x, 3).tolist() == [[[0, 0, 1], [0, 1, 2], [1, 2, 2]]]


def test_magnitudes_are_seen_as_they_are(magnitudes):
    features = Features("magnitude", 513, 3, 16_000)
    features.fit_normalisation(magnitudes)
    assert torch.equal(features(magnitudes[None]), with_context(magnitudes[None], 3))
    assert not features.state_dict()


@pytest.mark.parametrize(("kind", "n"), [("log_power", 513), ("log_mel", N_MELS)])
def test_logarithms_have_mean_0_and_deviation_1_over_the_training_mixtures(magnitudes, kind, n):
    features = Features(kind, 513, 3, 16_000)
    features.fit_normalisation(magnitudes)
    seen = features(magnitudes[None])
    assert seen.shape == (1, 400, 3 * n)
    middle = seen[0, :, n : 2 * n]
    assert float(middle.mean(0).abs().max()) < 1e-3
    assert float((middle.std(0) - 1).abs().max()) < 1e-3


@pytest.mark.parametrize("kind", ["log_power", "log_mel"])
def test_silence_is_finite_and_the_statistics_are_kept_with_the_weights(magnitudes, kind):
    features = Features(kind, 513, 1, 16_000)
    features.fit_normalisation(magnitudes)
    other = Features(kind, 513, 1, 16_000)
    other.load_state_dict(features.state_dict())
    silence = torch.zeros(1, 2, 513)
    assert torch.isfinite(features(silence)).all()
    assert torch.equal(features(magnitudes[None]), other(magnitudes[None]))


def test_mel_bands_are_triangles_that_meet_at_their_peaks():
    bands = mel_bands(40, 2049, 16_000)
    assert bands.shape == (2049, 40)
    assert float(bands.min()) == 0
    assert float(bands.max()) <= 1
    assert (bands.max(0).values > 0.8).all()
    peaks = bands.argmax(0)
    inside = bands[peaks[0] + 1 : peaks[-1]].sum(1)
    assert torch.allclose(inside, torch.ones_like(inside), atol=1e-5)  # neighbours add up
    hertz = peaks.double() * 8000 / 2048
    mel = 2595 * torch.log10(1 + hertz / 700)
    assert float(mel.diff().std() / mel.diff().mean()) < 0.05  # even in mel


def test_no_band_of_the_suites_transform_is_empty():
    assert (mel_bands(N_MELS, 513, 16_000).sum(0) > 0).all()
