from __future__ import annotations

import shutil
import signal
import sqlite3
import uuid
from pathlib import Path

import mlflow
import pytest

from bench.errors import BenchError
from bench.store.workspace import Workspace
from bench.tracking import default_store
from tests.command import bench, end, ran, wait_until

SWEEP = """\
title: Sweep
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ratio}
table: {targets: [vocals]}
"""


def recorded() -> set[str]:
    """Return the rows that the default store of the working directory has.

    A copy of it is read: this process may still hold the file that had its name before.
    """
    copy = Path(f"copy-{uuid.uuid4()}.db")
    shutil.copy("mlflow.db", copy)
    store = mlflow.MlflowClient(tracking_uri=f"sqlite:///{copy.resolve()}")
    experiment = store.get_experiment_by_name("sweep")
    runs = store.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    return {run.data.tags["row"] for run in runs}


def half_made(path: Path) -> None:
    """Write what a process leaves that is killed among MLflow's migrations."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("CREATE TABLE _alembic_tmp_experiments (experiment_id INTEGER)")


def garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [half_made, garbage])
def test_a_store_that_cannot_be_opened_is_set_aside_and_filled_again(workspace, spoil):
    Path("sweep.yaml").write_text(SWEEP)
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert recorded() == {"Mixture", "Ratio"}
    Path("mlflow.db").unlink()
    spoil(Path("mlflow.db"))
    before = Path("mlflow.db").read_bytes()
    said = ran("run", "sweep.yaml")
    assert "bench: mlflow.db is no store that MLflow can open: it is now mlflow.db.broken-1" in said
    assert "2 cells: 0 computed, 2 reused, 0 failed" in said
    assert Path("mlflow.db.broken-1").read_bytes() == before
    assert recorded() == {"Mixture", "Ratio"}


@pytest.mark.slow
def test_a_run_that_is_killed_while_the_store_is_made_goes_on(bare_workspace, begin):
    Path("sweep.yaml").write_text(SWEEP)
    run = begin("run", "sweep.yaml", "--workers", "0")
    wait_until(lambda: Path("mlflow.db.new").exists(), "the first tables")
    run.send_signal(signal.SIGKILL)
    end(run)
    assert not Path("mlflow.db").exists()
    assert "2 cells: 2 computed, 0 reused, 0 failed" in ran("run", "sweep.yaml", "--workers", "0")
    assert recorded() == {"Mixture", "Ratio"}
    assert not list(Path().glob("mlflow.db?*"))


def test_a_sound_store_stays_where_it_is_also_while_it_is_in_use(workspace):
    path = Workspace().database
    assert default_store.set_aside_if_broken(Workspace()) == ""
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert not default_store.is_broken(path)
    assert [p.name for p in Path().glob("mlflow.db*")] == ["mlflow.db"]


def test_an_empty_file_and_another_version_of_mlflow_are_left_to_mlflow(workspace, empty_store):
    Path("empty.db").touch()
    assert not default_store.is_broken(Path("empty.db"))
    shutil.copy(empty_store, "older.db")
    with sqlite3.connect("older.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'another'")
    assert not default_store.is_broken(Path("older.db"))


def test_a_store_of_another_name_is_not_looked_at(workspace, monkeypatch):
    Path("mlflow.db").unlink()
    garbage(Path("mlflow.db"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert default_store.set_aside_if_broken(Workspace()) == ""
    assert Path("mlflow.db").exists()


def test_a_copied_workspace_keeps_its_artifacts_to_itself(workspace, monkeypatch):
    first, second = workspace / "first", workspace / "second"
    first.mkdir()
    shutil.copy("mlflow.db", first)
    monkeypatch.chdir(first)
    Path("sweep.yaml").write_text(SWEEP)
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    shutil.copytree(first, second)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    monkeypatch.chdir(second)
    Path("sweep.yaml").write_text(SWEEP.replace("label: Ratio", "label: Ratios"))
    ran("run", "sweep.yaml", "--workers", "0")  # MLflow remembers places within a process
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()} == before
    store = mlflow.MlflowClient(tracking_uri=f"sqlite:///{second / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("sweep")
    home = (second / "mlartifacts").as_uri()
    assert experiment.artifact_location == home
    runs = store.search_runs([experiment.experiment_id])
    assert len(runs) == 3
    assert all(run.info.artifact_uri.startswith(f"{home}/") for run in runs)
    parent = next(run for run in runs if run.data.tags["bench.kind"] == "experiment")
    assert [file.path for file in store.list_artifacts(parent.info.run_id)] == ["report"]


def test_a_moved_run_without_artifacts_has_its_place_beside_the_store_too(workspace):
    old = "file:///old/mlartifacts"
    with sqlite3.connect("mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = ?", (old,))
        database.execute(
            "INSERT INTO runs (run_uuid, experiment_id, artifact_uri) VALUES ('abc', 0, ?)",
            (f"{old}/abc/artifacts",),
        )
    default_store.follow_move(Workspace())
    with sqlite3.connect("mlflow.db") as database:
        (place,) = database.execute("SELECT artifact_uri FROM runs").fetchone()
    assert place == f"{(workspace / 'mlartifacts').as_uri()}/abc/artifacts"


@pytest.mark.parametrize(
    "words",
    [["ui"], ["register", "sweep", "DRNN"], ["separate", "x.wav", "--with", "runs:/" + 32 * "0"]],
)
@pytest.mark.parametrize("spoil", [half_made, garbage])
def test_a_damaged_store_is_one_line_with_a_way_out(workspace, capsys, words, spoil):
    Path("mlflow.db").unlink()
    spoil(Path("mlflow.db"))
    assert bench(*words) == 2
    assert capsys.readouterr().err == (
        "bench: mlflow.db is no store that MLflow can open: bench track NAME or bench run sets it "
        "aside and fills a new one\n"
    )


def test_a_store_that_cannot_be_written_is_one_line(workspace, monkeypatch):
    def refuse(*_):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(default_store, "_relocate_artifacts", refuse)
    with pytest.raises(BenchError, match=r"a readonly database\): see that it can be written"):
        default_store.follow_move(Workspace())


def test_artifacts_that_do_not_lie_beside_the_store_stay_where_they_are(workspace):
    elsewhere = "file:///somewhere/mlartifacts/abc/artifacts"
    with sqlite3.connect("mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = ?", (elsewhere,))
    default_store.follow_move(Workspace())
    with sqlite3.connect("mlflow.db") as database:
        assert database.execute("SELECT artifact_location FROM experiments").fetchall() == [
            (elsewhere,)
        ]


@pytest.mark.parametrize(
    "words",
    [["ui"], ["register", "sweep", "DRNN"], ["separate", "x.wav", "--with", "runs:/" + 32 * "0"]],
)
def test_where_no_store_is_none_is_made(bare_workspace, capsys, words):
    assert bench(*words) == 2
    assert "no MLflow store here" in capsys.readouterr().err
    assert not Path("mlflow.db").exists()
