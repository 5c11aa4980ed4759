from __future__ import annotations

import numpy as np
import pytest
import scipy

from baselines.algorithms.gammatone import Filterbank, bin_shares, centre_frequencies

RATE = 16_000
TIME = np.arange(RATE) / RATE
CENTRES = np.arange(10, 90) * 160


def harmonics(pitch: float) -> np.ndarray:
    return sum(np.sin(2 * np.pi * h * pitch * TIME) / h for h in range(1, 12))


def test_filters_pass_what_scipys_gammatone_filters_pass():
    audio = np.zeros(RATE // 2)
    audio[RATE // 4] = 1.0
    bank = Filterbank(audio, RATE, 12, np.array([0]))
    frequency = np.fft.rfftfreq(len(audio), 1 / RATE)
    passed = [np.abs(np.fft.rfft(output.real)) for output in bank.outputs()]
    for centre, own in zip(
        bank.frequencies[:-1], passed[:-1], strict=True
    ):  # the last ends at 8 kHz
        design = scipy.signal.gammatone(centre, "fir", numtaps=1500, fs=RATE)
        scipys = np.abs(scipy.signal.freqz(*design, worN=frequency, fs=RATE)[1])
        assert own / own.max() == pytest.approx(scipys / scipys.max(), abs=0.05)


def test_a_tones_energy_is_in_the_filter_at_its_frequency():
    frequencies = centre_frequencies(32, RATE)
    bank = Filterbank(np.sin(2 * np.pi * frequencies[20] * TIME), RATE, 32, CENTRES)
    energies = bank.energies()
    assert energies.shape == (32, 80)
    assert (energies.argmax(axis=0) == 20).all()
    assert energies[20] == pytest.approx(640, rel=0.02)  # an envelope of 1 over 640 samples


def test_each_bin_is_shared_among_the_filters_and_most_of_it_goes_to_the_nearest():
    shares = bin_shares(24, 513, RATE)
    assert shares.shape == (513, 24)
    assert shares.sum(axis=1) == pytest.approx(np.ones(513))
    for n, frequency in enumerate(centre_frequencies(24, RATE)):
        assert shares[round(frequency / RATE * 1024)].argmax() == n


def test_units_agree_with_their_own_pitch_and_not_with_another():
    bank = Filterbank(harmonics(200.0), RATE, 32, CENTRES)
    _, fine, envelope = bank.periods(np.full(80, 200.0))
    low = bank.frequencies < 1000
    assert fine[low].min() > 0.95
    high = (bank.frequencies > 1500) & (bank.frequencies < 2000)
    assert envelope[high].min() > 0.8
    _, wrong, _ = bank.periods(np.full(80, 283.0))
    assert wrong[low].mean() < 0.5


def test_frames_without_a_pitch_have_no_correlation_and_the_same_energy():
    bank = Filterbank(harmonics(200.0), RATE, 8, CENTRES)
    pitch = np.where(np.arange(80) < 40, 200.0, 0.0)
    energies, fine, envelope = bank.periods(pitch)
    assert not fine[:, 40:].any() and not envelope[:, 40:].any()
    assert np.array_equal(energies, bank.energies())
    energies, fine, _ = bank.periods(np.zeros(80))
    assert not fine.any() and np.array_equal(energies, bank.energies())


def test_units_beyond_the_audio_hold_silence():
    energies, fine, envelope = Filterbank(
        np.ones(100), RATE, 4, np.array([-5000, 50, 9000])
    ).periods(np.full(3, 100.0))
    assert not energies[:, [0, 2]].any()
    assert np.isfinite(fine).all() and np.isfinite(envelope).all()
