from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.store.manifest import manifest_path
from bench.store.owner import check_file, check_scores, file_in
from bench.store.workspace import Workspace
from tests.command import bench

MIXTURE = """\
title: {title}
why: A test.
dataset: synthetic
examples: false
methods:
  - {{method: mixture, label: Mixture}}
"""


def report(name: str, **content) -> None:
    """Write the provenance of a report of one cell."""
    folder = Path("reports", name)
    folder.mkdir(parents=True)
    cells = [{"method": "rpca", "fingerprint": "a"}]
    (folder / "provenance.json").write_text(json.dumps({"cells": cells, **content}))


def external(estimates: str, **protocols: int) -> Cell:
    """Return a cell of estimates from files."""
    values, versions = {"estimates": estimates}, protocols or {"bss_eval_v3": 2}
    return Cell("S", "elsewhere", "elsewhere", 1, values, None, "x", {"test": "d"}, versions)


def test_another_file_of_the_same_stem_does_not_replace_a_report(workspace, capsys):
    for folder in ("mine", "theirs"):
        Path(folder).mkdir()
        Path(folder, "same.yaml").write_text(MIXTURE.format(title=folder))
    assert bench("run", "mine/same.yaml", "--workers", "0") == 0
    before = Path("reports/same/table.md").read_bytes()
    capsys.readouterr()
    assert bench("run", "theirs/same.yaml", "--workers", "0") == 2
    assert capsys.readouterr().err == (
        "bench: theirs/same.yaml: the name 'same' belongs to mine/same.yaml, whose report would be "
        "replaced; give the file a name of its own: the key 'name', or -o name=...\n"
    )
    assert Path("reports/same/table.md").read_bytes() == before
    assert bench("run", "theirs/same.yaml", "--workers", "0", "-o", "name=other") == 0
    assert "theirs" in Path("reports/other/table.md").read_text()
    Path("mine/same.yaml").unlink()
    capsys.readouterr()
    assert bench("run", "theirs/same.yaml", "--workers", "0") == 0
    assert capsys.readouterr().out.startswith(
        "the report of mine/same.yaml, which is gone, is replaced by that of theirs/same.yaml\n"
    )


@pytest.mark.usefixtures("bare_workspace")
def test_a_report_of_an_earlier_release_belongs_to_the_file_in_experiments():
    report("old")
    Path("experiments").mkdir()
    Path("experiments/old.yaml").write_text("x")
    here = Workspace()
    assert check_file(here, "old", "experiments/old.yaml", []) == ""
    with pytest.raises(BenchError, match=r"belongs to experiments/old\.yaml"):
        check_file(here, "old", "old.yaml", ["name=old"])
    with pytest.raises(BenchError, match="choose another name by --as"):
        check_scores(here, "old", external("b"))


@pytest.mark.usefixtures("bare_workspace")
def test_overrides_replace_a_report_by_name_alone():
    report("x", file="x.yaml", overrides=["seeds=[1]"])
    Path("x.yaml").write_text("x")
    here = Workspace()
    assert check_file(here, "x", "x.yaml", ["seeds=[1]"]) == ""
    with pytest.raises(BenchError, match="x was run with -o seeds="):
        check_file(here, "x", "x.yaml", ["seeds=[2]"])
    assert check_file(here, "x", "x.yaml", ["name=x", "seeds=[1]"]) == ""
    assert check_file(here, "x", "x.yaml", ["seeds=[2]", "name=x"]) == (
        "x was run with -o seeds=[1]: it is now run with -o seeds=[2], and its report is replaced"
    )
    assert "it is now run as its file states it" in check_file(here, "x", "x.yaml", [])
    assert check_file(here, "free", "x.yaml", ["seeds=[2]"]) == ""


@pytest.mark.usefixtures("bare_workspace")
def test_the_order_of_overrides_and_links_to_a_file_make_no_other_owner():
    report("x", file="x.yaml", overrides=["seeds=[1]", "title=T"])
    Path("x.yaml").write_text("x")
    Path("link.yaml").symlink_to("x.yaml")
    here = Workspace()
    assert check_file(here, "x", "x.yaml", ["title=T", "seeds=[1]"]) == ""
    assert check_file(here, "x", file_in(here, Path("link.yaml")), ["title=T", "seeds=[1]"]) == ""
    report("y", file="link.yaml", overrides=["table={}", "table.rows=ranked"])
    assert check_file(here, "y", "x.yaml", ["table={}", "table.rows=ranked"]) == ""
    with pytest.raises(BenchError, match="would replace its report"):
        check_file(here, "y", "x.yaml", ["table.rows=ranked", "table={}"])


@pytest.mark.usefixtures("bare_workspace")
@pytest.mark.parametrize(
    "damage",
    [
        {"cells": [1]},
        {"cells": None},
        {"cells": [{"method": "elsewhere", "hyperparameters": 3}]},
        {"file": 3},
        {"overrides": 3},
        {"overrides": [3]},
    ],
)
def test_a_damaged_record_says_nothing_of_the_owner(damage):
    here = Workspace()
    path = manifest_path(here.runs, "x")
    path.parent.mkdir(parents=True)
    record = {"cells": [], "file": "other.yaml", "overrides": [], **damage}
    path.write_text(json.dumps(record))
    assert check_file(here, "x", "x.yaml", []) == ""
    report("x", file="mine/x.yaml", overrides=[])
    Path("mine").mkdir()
    Path("mine/x.yaml").write_text("")
    with pytest.raises(BenchError, match=r"belongs to mine/x\.yaml"):
        check_file(here, "x", "x.yaml", [])
    (Path("reports/x") / "provenance.json").write_text(json.dumps(record))
    assert check_file(here, "x", "x.yaml", []) == ""
    check_scores(here, "x", external("a"))


@pytest.mark.usefixtures("bare_workspace")
def test_a_record_whose_file_is_null_is_one_of_an_earlier_release():
    report("x", file=None)
    Path("experiments").mkdir()
    Path("experiments/x.yaml").write_text("")
    with pytest.raises(BenchError, match=r"belongs to experiments/x\.yaml"):
        check_file(Workspace(), "x", "x.yaml", [])


def test_a_dry_run_says_that_the_run_would_be_refused(bare_workspace, capsys):
    for folder in ("mine", "theirs"):
        Path(folder).mkdir()
        Path(folder, "same.yaml").write_text(MIXTURE.format(title=folder))
    report("same", file="mine/same.yaml")
    Path("mine/same.yaml").write_text("")
    assert bench("run", "theirs/same.yaml", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "without --dry-run: this is refused: theirs/same.yaml: the name 'same' belongs to" in out


@pytest.mark.usefixtures("bare_workspace")
def test_scores_from_files_keep_their_name():
    report("system", cells=[external("a").to_json()])
    here = Workspace()
    check_scores(here, "system", external("a"))
    check_scores(here, "system", external("a", si_sdr=1))
    with pytest.raises(BenchError, match="other estimates or references"):
        check_scores(here, "system", external("b"))
    with pytest.raises(BenchError, match="belongs to scores from files"):
        check_file(here, "system", "system.yaml", [])
