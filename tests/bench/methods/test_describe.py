from __future__ import annotations

import pytest
from pydantic import Field

from bench.methods import registry
from bench.methods.describe import Hyperparameter, allowed_values, describe
from bench.methods.separator import Separator, separator
from tests.command import bench


@separator
class Told(Separator):
    """A method.

    Parameters
    ----------
    share, other
        Share of the mixture
        as ``vocals``.

    Attributes
    ----------
    seed
        Not this.
    """

    share: float = Field(0.5, gt=0, le=1)
    other: bool = True
    seed: int = 0

    def separate(self, mixture, rate):
        raise NotImplementedError


def test_default_allowed_values_and_meaning_come_from_fields_and_docstring():
    assert describe(Told) == [
        Hyperparameter(
            "share", "0.5", "number, above 0, 1 at most", "Share of the mixture as vocals."
        ),
        Hyperparameter("other", "true", "true, false", "Share of the mixture as vocals."),
        Hyperparameter("seed", "0", "integer", ""),
    ]
    assert allowed_values({"enum": ["own", 2]}) == "own, 2"


@pytest.mark.parametrize("name", registry.table())
def test_every_hyperparameter_of_a_built_in_method_has_a_meaning(name):
    assert [one.name for one in describe(registry.find_method(name)) if not one.meaning] == []


def test_a_method_is_listed_and_another_name_refused_with_the_nearest(capsys):
    assert bench("list", "rpca") == 0
    out = capsys.readouterr().out
    assert out.startswith("rpca (unsupervised): Robust PCA on the mixture's magnitude")
    assert "soft, binary" in out
    assert bench("list", "rpc") == 2
    assert capsys.readouterr().err == "bench: no list or method 'rpc'; did you mean 'rpca'?\n"
