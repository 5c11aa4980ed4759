from __future__ import annotations

import numpy as np
import pytest

from baselines.rpcah_fasst import RPCAhFASST, percussive
from bench.errors import BenchError
from bench.track import TARGETS, Track

RATE = 16_000
TIME = np.arange(3 * RATE) / RATE


def beats(seed):
    """Bursts of noise above 4 kHz, dying away."""
    rng = np.random.default_rng(seed)
    audio = np.zeros(len(TIME))
    for start in rng.choice(len(TIME) - 3000, 8, replace=False):
        noise = rng.standard_normal(3000) * np.exp(-np.arange(3000) / 400)
        audio[start : start + 3000] += np.diff(noise, prepend=0.0)
    return audio[None]


def voice():
    pitch = 300 + 60 * np.sin(2 * np.pi * 0.7 * TIME) + 8 * np.sin(2 * np.pi * 5.5 * TIME)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return 0.3 * sum(np.sin(h * phase) / h for h in (1, 2, 3, 4))[None]


def test_a_click_is_percussive_and_a_tone_is_not():
    magnitude = np.full((60, 80), 1e-3)
    magnitude[20, :] = 1.0
    magnitude[:, 40] = 1.0
    percussion = percussive(magnitude)
    assert percussion[5, 40] > 0.5
    assert percussion[20, 10] < 0.01


def test_drums_are_taken_out_of_the_sparse_part_and_the_voice_is_not():
    songs = [
        Track(f"song {i}", RATE, dict(zip(TARGETS, (voice(), beats(i)), strict=True)))
        for i in range(2)
    ]
    method = RPCAhFASST(drums=4, voices=6, iterations=60).fit(songs)
    from bench import stft

    drum, sung = (np.abs(stft.forward(a, 1024, 256))[0] for a in (beats(9), voice()))
    share = method.voice_share(drum + sung)
    kept = [np.sum(share * part**2) / np.sum(part**2) for part in (drum, sung)]
    assert kept[0] < 0.5
    assert kept[1] > 0.7


def test_accompaniments_without_drums_are_refused():
    still = np.zeros((1, RATE))
    song = Track("still", RATE, dict(zip(TARGETS, (still + 0.1, still), strict=True)))
    with pytest.raises(BenchError, match="no percussive frame"):
        RPCAhFASST().fit([song])
