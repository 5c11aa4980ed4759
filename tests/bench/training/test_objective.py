"""The objective and its gradients against two independent references, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.networks.drnn.network import DRNNNetwork, RecurrentLayer
from bench.training.masking import masked
from bench.training.objective import (
    UNIT_NORM_LEVEL,
    absolute_error,
    discriminative,
    kl,
    phase_sensitive,
    squared_error,
)

RECURRENT = {"dnn": "none", "drnn-1": 1, "drnn-2": 2, "drnn-3": 3, "srnn": "all"}
FORMS = {
    "softabs": ("abs", "squared_error"),
    "softlinear": ("linear", "squared_error"),
    "softquad": ("square", "squared_error"),
    "softabs_kl_const": ("abs", "kl"),
}
COST = 1e-9  # float64 through a dozen products
# The authors drop two small constants from their derivatives: 1e-10 in the mask, 1e-3 in KL.
GRADIENT = {"squared_error": 1e-6, "kl": 1e-5}

CASES = [(a, o) for a in RECURRENT for o in FORMS]


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def relative(ours: torch.Tensor, theirs) -> float:
    theirs = tensor(theirs)
    return float((ours.detach() - theirs).norm() / theirs.norm())


def check(path: Path, architecture: str, form: str) -> None:
    cases = json.loads(path.read_text())["cases"]
    (case,) = [c for c in cases if (c["architecture"], c["objective"]) == (architecture, form)]
    mask, objective = FORMS[form]
    network = DRNNNetwork(
        case["n_bins"], case["context"], case["hidden"], 3, RECURRENT[architecture]
    ).double()
    layers = [*network.hidden, network.output]
    recurrent = [layer for layer in layers if isinstance(layer, RecurrentLayer)]
    assert len(recurrent) == len(case["recurrent"])
    with torch.no_grad():
        for layer, weight, bias in zip(layers, case["weights"], case["biases"], strict=True):
            layer.weight.copy_(tensor(weight))
            layer.bias.copy_(tensor(bias))
        for layer, matrix in zip(recurrent, case["recurrent"], strict=True):
            layer.recurrent.copy_(tensor(matrix))

    estimates = masked(network(tensor(case["input"])), tensor(case["mixture"]), mask)
    references = tensor(case["target"]).unflatten(-1, (2, -1))
    cost = discriminative(estimates, references, case["gamma"], objective)
    cost.backward()

    assert cost.item() == pytest.approx(case["cost"], rel=COST)
    assert relative(estimates.flatten(-2), case["output"]) < COST
    for layer, weight, bias in zip(layers, case["grad_weights"], case["grad_biases"], strict=True):
        assert relative(layer.weight.grad, weight) < GRADIENT[objective]
        assert relative(layer.bias.grad, bias) < GRADIENT[objective]
    for layer, matrix in zip(recurrent, case["grad_recurrent"], strict=True):
        assert relative(layer.recurrent.grad, matrix) < GRADIENT[objective]


@pytest.mark.parametrize(("architecture", "form"), CASES)
def test_the_authors_own_code_gives_the_same_cost_output_and_gradients(shared, architecture, form):
    check(shared / "fixtures" / "drnn_objective.json", architecture, form)


@pytest.mark.parametrize(("architecture", "form"), CASES)
def test_an_independent_reference_gives_the_same_cost_output_and_gradients(architecture, form):
    path = Path(__file__).parents[2] / "fixtures" / "drnn_objective.json"
    check(path, architecture, form)


@pytest.mark.parametrize("divergence", [squared_error, absolute_error, kl])
def test_a_divergence_is_least_at_the_reference(divergence):
    rng = torch.Generator().manual_seed(0)
    reference = torch.rand(4, 5, generator=rng, dtype=torch.float64) + 0.1
    least = divergence(reference, reference)
    for _ in range(20):
        other = reference * (1 + 0.2 * torch.randn(4, 5, generator=rng, dtype=torch.float64)).abs()
        assert divergence(other, reference) > least


@pytest.mark.parametrize("objective", ["squared_error", "absolute_error", "kl"])
def test_gamma_rewards_an_estimate_that_is_unlike_the_other_source(objective):
    near, far = tensor([[[[1.0], [3.0]]]]), tensor([[[[1.0], [9.0]]]])
    estimates = tensor([[[[1.5], [2.5]]]])

    def reward(references):
        without = discriminative(estimates, references, 0.0, objective)
        return float(without - discriminative(estimates, references, 0.1, objective))

    assert reward(far) > reward(near) > 0


def test_the_objective_is_a_sum_over_frames_and_bins():
    rng = np.random.default_rng(0)
    s, r = (tensor(np.abs(rng.standard_normal((2, 3, 2, 4)))) for _ in range(2))
    once = discriminative(s, r, 0.05)
    twice = discriminative(torch.cat([s, s]), torch.cat([r, r]), 0.05)
    assert float(twice) == pytest.approx(2 * float(once), rel=1e-12)


def test_the_constant_of_the_kl_divergence_follows_the_level_of_the_signals():
    rng = torch.Generator().manual_seed(0)
    s, r = (torch.rand(3, 2, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    quiet = discriminative(s, r, 0.05, "kl")
    loud = discriminative(100 * s, 100 * r, 0.05, "kl", 100 * UNIT_NORM_LEVEL)
    assert float(loud) == pytest.approx(100 * float(quiet), rel=1e-12)


def test_the_phase_sensitive_references_are_the_nearest_that_any_mask_in_0_and_1_reaches():
    rng = np.random.default_rng(0)
    parts = tensor(rng.standard_normal((2, 50, 2)))
    sources = torch.view_as_complex(parts)
    mixture = sources.sum(0)
    references = phase_sensitive(sources, mixture)
    torch.testing.assert_close(references.sum(0), mixture.abs())
    reached = (references / mixture.abs() * mixture - sources).abs()
    for share in torch.linspace(0, 1, 101, dtype=torch.float64):
        assert ((share * mixture - sources).abs() >= reached - 1e-12).all()
    assert not phase_sensitive(torch.zeros_like(sources), torch.zeros_like(mixture)).any()
