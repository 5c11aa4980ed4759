"""The precision of a training: asked for, chosen by the processor, kept with what was learnt."""

from __future__ import annotations

import pytest
import torch

from baselines.networks.drnn.separator import DRNN
from bench.training import precision
from bench.training.precision import used_precision


@pytest.fixture
def processor(monkeypatch):
    """Return a function that gives this machine a processor with other flags."""

    def give(capabilities):
        monkeypatch.setattr(precision, "_capabilities", lambda: capabilities)
        precision._has_bfloat16.cache_clear()

    yield give
    precision._has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"bf16": True}, "bfloat16"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_instructions_for_it(
    processor, capabilities, expected
):
    processor(capabilities)
    assert used_precision("auto", "cpu") == expected
    assert used_precision("float32", "cpu") == "float32"
    assert used_precision("bfloat16", "cpu") == "bfloat16"


@pytest.mark.parametrize("faster", ["float32", "bfloat16"])
def test_a_measured_product_decides_once_where_the_processor_cannot_say(
    processor, monkeypatch, faster
):
    measured = []

    def product_s(dtype):
        measured.append(dtype)
        return 1.0 if dtype == getattr(torch, faster) else 2.0

    processor({"architecture": "unknown"})
    monkeypatch.setattr(precision, "_product_s", product_s)
    assert used_precision("auto", "cpu") == used_precision("auto", "cpu") == faster
    assert len(measured) == 2


def test_the_measurement_ends_after_ten_milliseconds_with_the_fastest_product(monkeypatch):
    clock = iter([0, 0, 0.006, 0.006, 0.009, 0.009, 0.014])  # products of 6, 3 and 5 ms
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(clock))
    assert precision._product_s(torch.float32) == pytest.approx(0.003)


def test_the_precision_that_a_training_used_is_kept_with_it(tracks, tmp_path, processor):
    small = {"hidden": 8, "layers": 2, "epochs": 1}
    processor({"avx512_bf16": False})
    trained = DRNN(**small).fit(tracks)
    assert trained.training_facts()["precision"] == "float32"
    trained.save(tmp_path)
    assert DRNN.load(tmp_path).precision_ == "float32"
    processor({"avx512_bf16": True})
    assert DRNN(**small).fit(tracks).training_facts()["precision"] == "bfloat16"


def test_lbfgs_takes_float32_on_every_processor(processor):
    processor({"avx512_bf16": True})
    assert DRNN(recipe="lbfgs", shift=0, pairing="own").used_precision() == "float32"
