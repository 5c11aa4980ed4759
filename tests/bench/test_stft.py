from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import stft
from bench.errors import BenchError

EXACT = 1e-12  # float64 rounding of a sum of at most 16 windows


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(1, 5000),
    n_channels=st.integers(1, 3),
    n_fft=st.sampled_from([4, 16, 64, 1024]),
    overlap=st.sampled_from([2, 4, 8]),
    window=st.sampled_from(["sine", "hann"]),
    seed=st.integers(0, 99),
)
def test_inverse_gives_back_every_sample(n_samples, n_channels, n_fft, overlap, window, seed):
    hop = n_fft // overlap
    if hop == 0 or (window == "hann" and overlap == 2):
        return
    audio = np.random.default_rng(seed).standard_normal((n_channels, n_samples))
    spectrogram = stft.forward(audio, n_fft, hop, window)
    assert spectrogram.shape == (n_channels, n_fft // 2 + 1, stft.n_frames(n_samples, n_fft, hop))
    back = stft.inverse(spectrogram, n_samples, n_fft, hop, window)
    assert np.abs(back - audio).max() < EXACT


def test_a_hann_window_is_the_square_of_a_sine_and_needs_four_frames_a_sample():
    assert np.allclose(stft.window(64, "hann"), 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64))
    with pytest.raises(BenchError, match="under a Hann window hop must divide n_fft / 4 = 16"):
        stft.forward(np.ones((1, 100)), 64, 32, "hann")


def test_a_sine_falls_into_its_own_bin():
    n = np.arange(16_000)
    audio = np.sin(2 * np.pi * 1000 / 16_000 * n)[None]
    power = np.square(np.abs(stft.forward(audio)))[0].mean(axis=1)
    assert power.argmax() == 64  # 1,000 Hz at 15.625 Hz a bin


def test_frames_are_windowed_excerpts_transformed_by_definition():
    audio = np.random.default_rng(0).standard_normal((1, 4096))
    spectrogram = stft.forward(audio, 64, 16)
    window = np.sin(np.pi * np.arange(64) / 64)
    frame = 20  # begins at 20 * 16 less the padding of 48 samples
    excerpt = audio[0, 20 * 16 - 48 :][:64]
    assert np.abs(spectrogram[0, :, frame] - np.fft.rfft(window * excerpt)).max() < EXACT


def test_numpy_and_pytorch_agree_and_keep_their_precision():
    audio = np.random.default_rng(0).standard_normal((2, 3000))
    single = stft.forward(torch.from_numpy(audio).float())
    assert single.dtype == torch.complex64
    assert np.abs(single.numpy() - stft.forward(audio)).max() < 1e-3


def test_audio_that_must_not_be_written_is_transformed_all_the_same():
    audio = np.ones((1, 2000))
    audio.setflags(write=False)
    assert stft.forward(audio).shape == (1, 513, stft.n_frames(2000, 1024, 512))


@pytest.mark.parametrize(("n_fft", "hop"), [(1023, 511), (2, 1), (1024, 300), (1024, 0), (64, 64)])
def test_settings_without_an_inverse_are_refused(n_fft, hop):
    with pytest.raises(BenchError):
        stft.forward(np.ones((1, 5000)), n_fft, hop)
