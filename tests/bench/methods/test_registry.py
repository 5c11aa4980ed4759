"""From a name and values to a method: what is refused, and how it is said."""

from __future__ import annotations

import json
import sys

import pytest

from bench.errors import BenchError
from bench.methods import registry
from bench.methods.saved import load_saved
from bench.methods.separator import Separator, separator


@separator
class Banded(Separator):
    """A stranger's method.

    Parameters
    ----------
    bands
        Edges of the bands in hertz.
    order
        Order of the filters.
    """

    bands: list[int]
    order: int = 2

    def __post_init__(self) -> None:
        if self.order > 4:
            raise AssertionError("order must be below 5")
        if not self.bands:
            raise ValueError("bands is empty")
        if self.bands == [0]:
            raise ValueError
        self.first = 1 / (self.bands[0] - 1)

    def separate(self, mixture, rate):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "here: bands has no value, and Banded has no default for it; allowed: array"),
        ({"bands": [1, "x"]}, "here: bands[1] = 'x' is refused; allowed: array"),
        ({"bands": [2], "order": 6}, "here: order must be below 5"),
        ({"bands": []}, "here: bands is empty"),
        ({"bands": [0]}, "here: Banded refuses these values and does not say why"),
        ({"bands": [1]}, "here: Banded cannot be made: ZeroDivisionError: division by zero"),
        ({"bands": 1, "order": "y"}, "here: bands = 1 is refused; allowed: array\n"
                                     "here: order = 'y' is refused; allowed: integer"),
        ({"orders": 2}, "here: Banded has no hyperparameter 'orders'; did you mean 'order'?"),
    ],
)  # fmt: skip
def test_refused_values_are_said_one_a_line(values, line):
    with pytest.raises(BenchError) as refusal:
        registry.make(Banded, values, "here")
    assert str(refusal.value) == line


@pytest.mark.parametrize(
    ("content", "path", "line"),
    [
        ("", "mine_a:X", "module mine_a has no class X"),
        ("import os\nos.nothing", "mine_b:X", "cannot be imported: AttributeError: module 'os'"),
        ("import absent_c", "mine_c:X", "cannot be imported: No module named 'absent_c'"),
        ("", "mine_d.inner:X", "there is no module mine_d.inner: mine_d has none of that name"),
        ("", "absent_f.inner:X", "no module absent_f.inner: put absent_f/inner.py into the"),
        ("", "mine_g:", "method 'mine_g:' names no class: write mine_g:Class"),
        ("import sys\nsys.exit('no')", "mine_h:X", "cannot be imported: SystemExit: no"),
        ("raise ValueError", "mine_i:X", "method 'mine_i:X' cannot be imported: ValueError"),
        (
            "def __getattr__(name):\n    raise RuntimeError(name)",
            "mine_j:X",
            "cannot be imported: RuntimeError: X",
        ),
        ("", "absent_e:X", "there is no module absent_e: put absent_e.py into the folder"),
    ],
)
def test_a_module_that_cannot_be_used_is_said_with_what_to_do(
    tmp_path, monkeypatch, content, path, line
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = path.partition(":")[0].partition(".")[0]
    if name.startswith("mine"):
        (tmp_path / f"{name}.py").write_text(content)
    with pytest.raises(BenchError) as refusal:
        registry.find_method(path)
    assert line in str(refusal.value)


PAYLOAD = """
from pathlib import Path
from bench.methods.separator import Separator, separator

Path("executed").touch()


@separator
class X(Separator):
    def separate(self, mixture, rate):
        return {"vocals": mixture, "accompaniment": 0 * mixture}
"""


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_a_file_amid_data_is_no_module_of_a_method(working_directory):
    folder = working_directory / "reports" / "stranger"
    folder.mkdir(parents=True)
    (folder / "payload.py").write_text(PAYLOAD)
    for name in ("reports.stranger.payload:X", "payload:X"):
        with pytest.raises(BenchError, match="there is no module"):
            registry.find_method(name)
    (working_directory / "own_method_k.py").write_text(PAYLOAD)
    assert registry.find_method("own_method_k:X").__name__ == "X"
    (working_directory / "executed").unlink()
    with pytest.raises(BenchError, match="there is no module"):  # though the folder is on the path
        registry.find_method("reports.stranger.payload:X")
    assert not (working_directory / "executed").exists()


def test_a_trained_model_cannot_bring_the_code_of_its_method(working_directory):
    model = working_directory / "stranger_model"
    model.mkdir()
    (model / "__init__.py").write_text(PAYLOAD)
    for path in ("stranger_model:X", "stranger_model.payload:X"):
        (model / "separator.json").write_text(json.dumps({"class": path}))
        with pytest.raises(BenchError, match="names code in its own folder"):
            load_saved(model)
    assert not (working_directory / "executed").exists()
