"""The folders of the tests mirror the rooms of the code, and names say what they hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.command import ROOT

#: Names that say how a value came about in place of what it holds.
EMPTY_NAMES = {"found", "got", "made", "mine"}


def rooms(package: Path) -> set[str]:
    """Return the folders below a package that hold modules, relative to it."""
    folders = (path.parent for path in package.rglob("*.py") if path.name != "__init__.py")
    return {folder.relative_to(package).as_posix() for folder in folders}


@pytest.mark.parametrize("package", ["bench", "baselines"])
def test_a_folder_of_tests_stands_for_a_room_of_the_code(package):
    tested = rooms(ROOT / "tests" / package)
    assert tested <= rooms(ROOT / package)


@pytest.mark.parametrize("package", ["bench", "baselines"])
def test_each_room_that_computes_has_its_tests(package):
    """The rooms inside the report are tested by its whole files, one folder for all."""
    inside_report = {room for room in rooms(ROOT / package) if room.startswith("report/")}
    assert rooms(ROOT / package) - inside_report <= rooms(ROOT / "tests" / package)


@pytest.mark.parametrize("package", ["bench", "baselines"])
def test_a_file_of_tests_names_its_module_or_says_what_it_tests(package):
    for path in (ROOT / "tests" / package).rglob("test_*.py"):
        room = ROOT / path.parent.relative_to(ROOT / "tests")
        is_of_a_module = (room / path.name.removeprefix("test_")).is_file()
        assert is_of_a_module or path.read_text().startswith('"""'), path


@pytest.mark.parametrize("package", ["bench", "baselines", "tests"])
def test_no_local_is_named_for_how_its_value_came_about(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_bound = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            name = node.id if is_bound else getattr(node, "arg", None) or getattr(node, "name", "")
            assert name not in EMPTY_NAMES, f"{path}:{node.lineno} names a value {name!r}"
