from __future__ import annotations

import numpy as np

from baselines.nmf import NMF
from bench.track import Track


def tones(frequencies, n=16_000, seed=0):
    """A source that plays one of its notes at a time."""
    t = np.arange(n) / 16_000
    notes = np.random.default_rng(seed).choice(frequencies, 16)
    return np.concatenate(
        [np.sin(2 * np.pi * f * t[i * n // 16 : (i + 1) * n // 16]) for i, f in enumerate(notes)]
    )[None]


def track(seed):
    low, high = (300.0, 410.0, 520.0), (1500.0, 1900.0, 2300.0)
    return Track(
        "planted",
        16_000,
        {"vocals": tones(high, seed=seed), "accompaniment": tones(low, seed=seed + 1)},
    )


def test_sources_of_other_spectra_are_told_apart():
    method = NMF(atoms=4).fit([track(0), track(10)])
    test = track(20)
    estimates = method.separate(test.mixture, 16_000)
    for target, estimate in estimates.items():
        error = np.sum((estimate - test.references[target]) ** 2)
        assert 10 * np.log10(np.sum(test.references[target] ** 2) / error) > 12


def test_there_is_a_dictionary_of_non_negative_spectra_a_target():
    method = NMF(atoms=3).fit([track(0)])
    assert {t: d.shape for t, d in method.dictionaries_.items()} == {
        "vocals": (3, 513),
        "accompaniment": (3, 513),
    }
    assert all((d >= 0).all() for d in method.dictionaries_.values())


def test_a_louder_mixture_gets_the_same_masks():
    method, mixture = NMF(atoms=3).fit([track(0)]), track(5).mixture
    quiet = method.separate(1e-6 * mixture, 16_000)["vocals"] * 1e6
    loud = method.separate(1e6 * mixture, 16_000)["vocals"] / 1e6
    assert np.abs(quiet - loud).max() < 1e-5
