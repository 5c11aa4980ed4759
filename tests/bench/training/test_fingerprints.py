"""Cells that were computed before a field joined a method keep their fingerprint."""

from __future__ import annotations

import pytest

from bench.methods import registry

#: Hyperparameters that earlier releases wrote into a cell, the seed left out.
DRNN = {
    "n_fft": 1024, "hop": 512, "recurrent": 2, "gamma": 0.05, "objective": "squared_error",
    "outputs": 2, "mask": "abs", "test_mask": "none", "features": "magnitude", "context": 3,
    "hidden": 1000, "layers": 3, "shift": "random", "pairing": "any", "recipe": "adam",
    "epochs": 60, "patience": 25, "batch_size": 32, "frames": 50, "learning_rate": 1e-3,
    "clip_norm": 1.0, "precision": "bfloat16",
}  # fmt: skip
RNMF = {
    "n_fft": 1024, "hop": 512, "atoms": 60, "ridge": 0.1, "weight": 0.1, "epochs": 30,
    "learning_rate": 1e-3,
}  # fmt: skip


def identity(name: str, values) -> dict:
    completed = registry.make(registry.find_method(name), values, name).hyperparameters()
    return registry.fingerprint_values(name, {k: v for k, v in completed.items() if k != "seed"})


@pytest.mark.parametrize(("name", "values"), [("drnn", DRNN), ("rnmf_supervised", RNMF)])
def test_a_cell_of_an_earlier_release_has_the_values_it_had(name, values):
    assert identity(name, values) == values
    assert registry.fingerprint_values(name, values) == values


def test_a_field_that_changes_something_is_in_the_fingerprint():
    assert identity("drnn", {**DRNN, "select": "last"}) == {**DRNN, "select": "last"}
    assert identity("rnmf_supervised", {"gamma": 0.1})["gamma"] == 0.1


def test_auto_is_one_fingerprint_on_every_machine():
    assert identity("drnn", {})["precision"] == "auto"


def test_the_kl_divergence_has_another_fingerprint_since_its_constant_follows_the_level():
    values = {**DRNN, "objective": "kl"}
    assert identity("drnn", values) == {**values, "kl_constant": "relative to the level"}


def test_of_scores_from_elsewhere_every_value_counts():
    values = {"estimates": "0123", "note": "by hand"}
    assert registry.fingerprint_values("elsewhere", values) == values
