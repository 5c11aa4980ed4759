from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench import masks

magnitudes = arrays(np.float64, (3, 4), elements=st.floats(0, 1e300))


@given(a=magnitudes, b=magnitudes, power=st.sampled_from([0.5, 1.0, 2.0]))
def test_soft_shares_lie_in_0_and_1_and_sum_to_one(a, b, power):
    shares = masks.soft({"a": a, "b": b}, power)
    assert all((m >= 0).all() and (m <= 1).all() for m in shares.values())
    assert np.allclose(shares["a"] + shares["b"], 1, rtol=0, atol=1e-15)


@given(a=magnitudes, b=magnitudes)
def test_binary_shares_are_0_or_1_and_sum_to_one(a, b):
    shares = masks.binary({"a": a, "b": b})
    assert set(np.unique(shares["a"])) <= {0.0, 1.0}
    assert (shares["a"] + shares["b"] == 1).all()
    assert ((shares["a"] == 1) == (a >= b)).all()


@pytest.mark.parametrize(("power", "share"), [(1, 3 / 4), (2, 9 / 10)])
def test_a_soft_share_is_the_ratio_of_powers(power, share):
    assert masks.soft({"a": np.array([3.0]), "b": np.array([1.0])}, power)["a"][0] == pytest.approx(
        share, rel=1e-15
    )


def test_a_soft_mask_is_not_binary():
    assert 0 < masks.soft({"a": np.array([1e-3]), "b": np.array([1.0])})["a"][0] < 1


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160])
def test_a_gain_does_not_change_a_mask(scale):
    a, b = np.array([1.0, 2.0]), np.array([3.0, 0.5])
    scaled = masks.soft({"a": a * scale, "b": b * scale}, 2)
    assert np.allclose(scaled["a"], masks.soft({"a": a, "b": b}, 2)["a"], rtol=1e-12)
