"""The runs of rows after an experiment was edited, or was cut off before they were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from bench.tracking import tracker
from tests.command import bench

pytestmark = pytest.mark.slow

SEEDED = """\
title: Edited
why: A test.
dataset: synthetic
examples: false
seeds: SEEDS
methods:
  - {method: rnmf, label: LABEL, fixed: {atoms: 1, iterations: 1}}
  - {method: mixture, label: Mixture}
"""
SINGLE = """\
title: Edited
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: mixture, label: Mixture}
"""
REMOVED = "  - {method: ideal_ratio_mask, label: Ratio}\n"


def record(text: str) -> None:
    """Run an experiment."""
    Path("edited.yaml").write_text(text)
    assert bench("run", "edited.yaml", "--workers", "0") == 0


def runs(workspace: Path, view: int = ViewType.ACTIVE_ONLY) -> dict[str, Run]:
    """Return the runs of the experiment by their names."""
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("edited")
    return {
        run.info.run_name: run for run in client.search_runs([experiment.experiment_id], "", view)
    }


def places(workspace: Path) -> dict[str, float | None]:
    """Return the place of each run but that of the experiment; None for one that has none."""
    by_name = runs(workspace)
    return {n: run.data.metrics.get("place") for n, run in by_name.items() if n != "edited"}


def above(by_name: dict[str, Run], name: str) -> str:
    """Return the name of the run above a run."""
    names = {run.info.run_id: name for name, run in by_name.items()}
    return names[by_name[name].data.tags["mlflow.parentRunId"]]


def test_a_renamed_row_leaves_no_run_with_its_place(workspace):
    for label in ("Before", "After"):
        record(SEEDED.replace("SEEDS", "[0, 1]").replace("LABEL", label))
    assert places(workspace) == {
        "After": 1, "After, seed 0": None, "After, seed 1": None, "Mixture": 2
    }  # fmt: skip
    assert above(runs(workspace), "After, seed 0") == "After"
    assert "Before" in runs(workspace, ViewType.DELETED_ONLY), "it can be restored"


def test_a_row_of_fewer_seeds_is_recorded_although_no_cell_is_computed(workspace, capsys):
    text = SEEDED.replace("LABEL", "RNMF")
    record(text.replace("SEEDS", "[0, 1]"))
    record(text.replace("SEEDS", "[0]"))
    assert "2 cells: 0 computed, 2 reused, 0 failed" in capsys.readouterr().out
    by_name = runs(workspace)
    assert places(workspace) == {"RNMF, seed 0": 1, "RNMF, seed 1": None, "Mixture": 2}
    assert {above(by_name, name) for name in by_name if name != "edited"} == {"edited"}
    assert by_name["edited"].info.status == "FINISHED"

    record(text.replace("SEEDS", "[0, 1]"))
    assert places(workspace) == {
        "RNMF": 1, "RNMF, seed 0": 3, "RNMF, seed 1": None, "Mixture": 2
    }  # fmt: skip
    assert runs(workspace)["RNMF"].data.metrics["seeds"] == 2
    assert above(runs(workspace), "RNMF, seed 1") == "RNMF"


def test_a_row_that_was_removed_is_behind_all_others_until_it_is_back(workspace):
    both = {"Ratio": 1, "Mixture": 2}
    record(SINGLE + REMOVED)
    assert places(workspace) == both
    record(SINGLE)
    assert places(workspace) == {"Mixture": 1, "Ratio": 2}
    record(SINGLE + REMOVED)
    assert places(workspace) == both


def test_rows_that_a_store_has_missed_are_recorded_by_the_same_command(
    workspace, capsys, monkeypatch
):
    def away(*_: object) -> None:
        raise ConnectionError("away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracker, "log_rows", away)
        record(SINGLE)
    assert "records what is missing" in capsys.readouterr().err
    assert places(workspace) == {"Mixture": None}
    record(SINGLE)
    assert places(workspace) == {"Mixture": 1}
    monkeypatch.setattr(tracker.Tracker, "open", away)  # where nothing is missing, none is sent
    record(SINGLE)
