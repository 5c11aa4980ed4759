"""A report's ``provenance.json`` of which a field was changed: one clear error, or a report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.report.committed import load_committed
from bench.report.index import summaries
from bench.report.verify import problems
from tests.command import run_in
from tests.damage import changed, with_value

#: How many changed files that are no error are written as a page.
N_WRITTEN = 15
SMALL = """\
title: Small
why: A test.
dataset: synthetic
seeds: [0, 1]
methods:
  - {method: mixture, label: Mixture}
  - {method: rnmf, label: RNMF, fixed: {atoms: 4}}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory, empty_store) -> Path:
    """A working directory in which the experiment was run."""
    return run_in(tmp_path_factory.mktemp("run"), "small.yaml", SMALL, empty_store)


@pytest.fixture
def report(original, bare_workspace) -> Path:
    shutil.copytree(original, bare_workspace, dirs_exist_ok=True)
    return Path("reports/small")


def test_a_changed_field_gives_a_report_or_one_error(report):
    path = report / "provenance.json"
    content = json.loads(path.read_text())
    read, n_refused = [], 0
    for other in changed(content):
        path.write_text(json.dumps(other))
        try:
            load_committed(report)
        except BenchError as error:
            assert str(path) in str(error)
            n_refused += 1
        else:
            read.append(other)
        readable, damaged = summaries(report.parent)
        assert len(readable) + len(damaged) == 1
    assert n_refused > len(read) / 2  # most fields have a type that most values do not have
    for other in read[:N_WRITTEN]:
        path.write_text(json.dumps(other))
        problems(report, Path("runs"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("examples", 0, "signals", 0, "picture"), "../../secret.webp"),
        (("examples", 0, "key"), "../../secret"),
        (("cells", 0, "group"), "winners"),
        (("cells", 0, "row"), "Nobody"),
        (("cells", 0, "scores", "bss_eval_v3", "separate_s"), "1"),
    ],
)
def test_a_value_that_would_do_harm_or_mislead_is_refused(report, place, value):
    path = report / "provenance.json"
    path.write_text(json.dumps(with_value(json.loads(path.read_text()), place, value)))
    with pytest.raises(BenchError, match=r"provenance\.json is damaged"):
        load_committed(report)


LISTENING = {
    "target": "vocals",
    "tracks": ["a", "b"],
    "stimuli": [{"label": "Hidden", "kind": "reference"}, {"label": "RNMF", "kind": "supervised"}],
    "ratings": [[[100, 50], [100, 40]]],
}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("stimuli", 0, "kind"), "supervised"),
        (("ratings",), []),
        (("ratings", 0, 1), [100]),
        (("ratings", 0), [[100, 50]]),
    ],
)
def test_ratings_that_are_not_whole_are_refused(report, place, value):
    path = report / "provenance.json"
    content = json.loads(path.read_text()) | {"listening": LISTENING}
    path.write_text(json.dumps(content))
    load_committed(report)
    path.write_text(json.dumps(with_value(content, ("listening", *place), value)))
    with pytest.raises(BenchError, match=r"provenance\.json is damaged \(listening"):
        load_committed(report)
