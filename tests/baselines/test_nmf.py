from __future__ import annotations

import itertools

import numpy as np
import pytest

from baselines.algorithms.nmf import semi_supervised
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


def divergence(kind, x, model):
    if kind == "kl":
        return float((x * np.log(x / model) - x + model).sum())
    return float((x / model - np.log(x / model) - 1).sum())


@pytest.mark.parametrize("kind", ["kl", "is"])
def test_updates_with_free_atoms_never_raise_the_divergence(kind):
    rng = np.random.default_rng(0)
    fixed = rng.gamma(1.0, 1.0, (3, 30))
    x = rng.gamma(1.0, 1.0, (50, 3)) @ fixed + rng.gamma(1.0, 1.0, (50, 2)) @ rng.random((2, 30))
    costs = []
    for iterations in range(0, 60, 3):
        activations, atoms = semi_supervised(x, fixed, 2, kind, iterations, 0)
        assert np.array_equal(atoms[:3], fixed)
        costs.append(divergence(kind, x, activations @ atoms))
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(costs))
    assert costs[-1] < 0.1 * costs[0]


@pytest.mark.parametrize("form", ["supervised", "semi"])
@pytest.mark.parametrize("kind", ["kl", "is"])
def test_every_form_tells_planted_sources_apart(form, kind):
    method = NMF(atoms=4, form=form, divergence=kind).fit([track(0), track(10)])
    test = track(20)
    estimate = method.separate(test.mixture, 16_000)["vocals"]
    voice, other = (test.references[t] for t in ("vocals", "accompaniment"))
    assert 10 * np.log10(np.sum(other**2) / np.sum((estimate - voice) ** 2)) > 5


def test_the_semi_supervised_form_learns_the_voice_alone():
    assert list(NMF(atoms=3, form="semi").fit([track(0)]).dictionaries_) == ["vocals"]
