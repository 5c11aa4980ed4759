"""What MLflow holds of an experiment: in SQLite, and on a team's server with a real PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from bench.tracking.media import is_local
from bench.tracking.ui import VIEW, page
from tests.bench.tracking import postgres
from tests.browser import wait_for
from tests.command import bench, free_port

TRACKED = """\
title: Tracked
why: A test.
dataset: synthetic
seeds: [0, 1]
methods:
  - {method: mixture, label: Mixture}
  - {method: broken_here:Broken, label: Broken}
  - {method: drnn, label: DNN, fixed: {hidden: 12, layers: 2, recurrent: none, epochs: 2}}
"""
BROKEN = """\
from bench.methods.separator import Separator, separator

@separator
class Broken(Separator):
    '''Fails.'''
    def separate(self, mixture, rate):
        raise RuntimeError('no luck')
"""


@pytest.fixture(scope="module", params=["sqlite", "a server on postgresql"])
def store(request, tmp_path_factory):
    """The URI of a store in which an experiment was recorded, and the working directory."""
    folder = tmp_path_factory.mktemp("tracked")
    if request.param == "sqlite":
        yield from recorded(folder, f"sqlite:///{folder}/other.db")
        return
    pytest.importorskip("psycopg", reason="needs psycopg[binary], which is not installed")
    with postgres.server() as database, mlflow_server(folder, database) as uri:
        yield from recorded(folder, uri)


@contextlib.contextmanager
def mlflow_server(folder, database):
    """Serve a store as docs/use_mlflow_as_a_team.md tells a team to."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = (folder / "server.log").open("w")
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def recorded(folder, uri):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.syspath_prepend(folder)
        Path("broken_here.py").write_text(BROKEN)
        Path("tracked.yaml").write_text(TRACKED)
        assert bench("run", "tracked.yaml", "--workers", "0") == 1
        assert bench("track", "tracked") == 0
        yield uri, folder


@pytest.fixture
def client(store, monkeypatch) -> MlflowClient:
    monkeypatch.chdir(store[1])
    return MlflowClient(tracking_uri=store[0])


def children(client, query="tags.`bench.kind` = 'cell'"):
    experiment = client.get_experiment_by_name("tracked")
    return client.search_runs([experiment.experiment_id], query)


def parent(client):
    (run,) = children(client, "tags.`bench.kind` = 'experiment'")
    return run


def row_run(client):
    (run,) = children(client, "tags.`bench.kind` = 'row'")
    return run


def test_a_row_of_several_trainings_has_a_run_with_their_mean_and_spread(client, store):
    row = row_run(client)
    assert (row.info.run_name, row.info.status) == ("DNN", "FINISHED")
    assert row.data.tags["mlflow.parentRunId"] == parent(client).info.run_id
    assert row.data.params["hidden"] == "12"
    assert "seed" not in row.data.params | row.data.tags
    values = [
        run.data.metrics["vocals/gnsdr"] for run in children(client, "tags.method = 'drnn'")
        if run.data.tags["bench.kind"] == "cell"
    ]  # fmt: skip
    metrics = row.data.metrics
    assert metrics["vocals/gnsdr"] == pytest.approx(np.mean(values))
    assert metrics["vocals/gnsdr_sd"] == pytest.approx(np.std(values, ddof=1))
    assert metrics["vocals/gnsdr_low"] < metrics["vocals/gnsdr"] < metrics["vocals/gnsdr_high"]
    assert metrics["seeds"] == 2
    line = f"| vocals/gnsdr | {metrics['vocals/gnsdr']:.2f} | {metrics['vocals/gnsdr_sd']:.2f} |"
    assert line in row.data.tags["mlflow.note.content"]


def test_the_places_of_rows_put_bounds_last(client):
    (mixture,) = children(client, "tags.row = 'Mixture'")
    (broken,) = children(client, "tags.row = 'Broken'")
    places = [run.data.metrics["place"] for run in (row_run(client), broken, mixture)]
    assert places == [1, 2, 3]


def test_a_row_is_not_written_again_while_nothing_changes(client, store):
    history = client.get_metric_history(row_run(client).info.run_id, "place")
    assert len(history) == 1  # `recorded` has written the report twice


def test_a_run_lasts_as_long_as_its_cell_and_leads_to_the_report(client, store):
    for run in children(client, "tags.method = 'mixture'"):
        (folder,) = store[1].glob(f"runs/{run.data.tags['fingerprint'][:32]}")
        (marker,) = folder.glob("scores/*.json")
        facts = json.loads(marker.read_text())
        spent_s = facts["separate_s"] + facts["score_s"]
        assert (run.info.end_time - run.info.start_time) / 1000 == pytest.approx(spent_s, abs=0.002)
        address = f"#/experiments/{run.info.experiment_id}/runs/{parent(client).info.run_id}"
        assert address in run.data.tags["mlflow.note.content"]
    experiment = client.get_experiment_by_name("tracked")
    assert experiment.tags["mlflow.note.content"] == "Tracked\n\nA test."


def test_every_child_carries_what_teams_filter_by_below_its_parent(client):
    runs = children(client)
    assert len(runs) == 4
    for run in runs:
        above = row_run(client) if run.data.tags["row"] == "DNN" else parent(client)
        assert run.data.tags["mlflow.parentRunId"] == above.info.run_id
        assert {"row", "method", "group", "dataset", "seed", "protocol", "commit"} < set(
            run.data.tags
        )
        assert {i.dataset.name for i in run.inputs.dataset_inputs} >= {"synthetic-test"}
    seeds = "tags.method = 'drnn' and tags.`bench.kind` = 'cell'"
    assert {run.data.tags["seed"] for run in children(client, seeds)} == {"0", "1"}
    (failed,) = children(client, "tags.method = 'broken_here:Broken'")
    assert failed.info.status == "FAILED"
    assert "no luck" in failed.data.tags["error"]


def test_a_child_describes_itself_and_has_its_scores_track_by_track(client, tmp_path):
    run = children(client, "tags.method = 'drnn' and tags.seed = '0'")[0]
    note = run.data.tags["mlflow.note.content"]
    assert f"| vocals | GNSDR | {run.data.metrics['vocals/gnsdr']:.2f} | 8 | 0 |" in note
    path = client.download_artifacts(run.info.run_id, "tracks/bss_eval_v3.json", str(tmp_path))
    table = json.loads(Path(path).read_text())
    frame = pd.DataFrame(table["data"], columns=table["columns"])
    assert list(frame.columns[:2]) == ["track", "vocals/nsdr"]
    assert frame["vocals/nsdr"].mean() == pytest.approx(run.data.metrics["vocals/gnsdr"], abs=1e-3)
    logged = json.loads(run.data.tags["mlflow.loggedArtifacts"])
    assert logged[0] == {"path": "tracks/bss_eval_v3.json", "type": "table"}


def test_an_infinite_score_is_counted_and_never_sent_as_a_number(client):
    (mixture,) = children(client, "tags.method = 'mixture'")
    assert "vocals/gsar" not in mixture.data.metrics
    assert mixture.data.metrics["vocals/gsar_infinite"] == 8
    assert "| vocals | GSAR | ∞ | 8 | 0 |" in mixture.data.tags["mlflow.note.content"]


def test_the_parent_has_the_report_and_its_table_as_description(client):
    run = parent(client)
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("# Tracked")
    assert "| Broken | failed |" in note
    files = {item.path for item in client.list_artifacts(run.info.run_id, "report")}
    assert {"report/index.html", "report/rows.csv"} < files


def test_training_has_curves_system_metrics_and_pictures_by_step(client):
    run = children(client, "tags.method = 'drnn' and tags.seed = '1'")[0]
    history = client.get_metric_history(run.info.run_id, "system/memory_usage_megabytes")
    assert [point.step for point in history] == [1, 2]
    assert all(point.value > 50 for point in history)
    pictures = [item.path for item in client.list_artifacts(run.info.run_id, "images")]
    for name in ("dev_mask_vocals", "dev_spectrogram_vocals"):
        steps = {p.split("+step+")[1].split("+")[0] for p in pictures if f"/{name}+" in p}
        assert steps == {"1", "2"}


def test_three_tracks_can_be_seen_and_heard(client):
    run = children(client, "tags.method = 'drnn' and tags.seed = '0'")[0]
    clips = {item.path for item in client.list_artifacts(run.info.run_id, "audio")}
    assert clips == {f"audio/{role}-vocals.flac" for role in ("easy", "median", "hard")}
    pictures = [item.path for item in client.list_artifacts(run.info.run_id, "images")]
    for role in ("easy", "median", "hard"):
        assert any(f"/spectrogram_{role}+" in path for path in pictures)


def test_the_model_is_loaded_and_registered_on_request(
    client, store, test_track, capsys, monkeypatch
):
    assert bench("register", "tracked", "DNN", "--as", "voices", "--seed", "1") == 0
    assert "models:/voices/1" in capsys.readouterr().out
    (model,) = client.search_logged_models(
        [client.get_experiment_by_name("tracked").experiment_id],
        "tags.row = 'DNN' and params.seed = '1'",
    )
    scores = {metric.key: metric for metric in model.metrics}
    (run,) = children(client, "tags.row = 'DNN' and tags.seed = '1'")
    assert scores["vocals/gnsdr"].value == run.data.metrics["vocals/gnsdr"]
    assert scores["vocals/gnsdr"].dataset_name == "synthetic-test"
    mlflow.set_tracking_uri(store[0])
    try:
        model = mlflow.pyfunc.load_model("models:/voices/1")
    finally:
        mlflow.set_tracking_uri(None)  # which also unsets the variable
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store[0])
    stems = model.predict(test_track.mixture)
    assert sum(stems.values()) == pytest.approx(test_track.mixture)
    assert bench("register", "tracked", "DNN", "--seed", "7") == 2
    assert bench("register", "tracked", "Mixture") == 2
    assert (
        "row 'Mixture' has no model in the store: its method is not trained"
        in capsys.readouterr().err
    )
    assert bench("register", "tracked", "DNN", "--as", "a/b") == 2
    assert "--as: MLflow refuses the name 'a/b' (" in capsys.readouterr().err


def test_the_page_that_the_ui_opens_lists_the_cells(client, store):
    experiment = client.get_experiment_by_name("tracked")
    view = json.loads(experiment.tags[VIEW])
    assert view["runsExpanded"] == {parent(client).info.run_id: True}
    assert view["orderByKey"] == "metrics.`place`"
    assert view["selectedColumns"][2:5] == [
        f"metrics.`vocals/{m}`" for m in ("gnsdr", "gsir", "gsar")
    ]
    address = page(store[0], "tracked")
    assert f"/experiments/{experiment.experiment_id}/runs" in address
    assert "viewStateShareKey=bench" in address


def test_audio_that_may_not_be_passed_on_stays_on_this_machine():
    assert is_local("sqlite:////x/mlflow.db")
    assert is_local("http://localhost:5000")
    assert not is_local("https://mlflow.example.org")
    assert is_local("postgresql://bench@127.0.0.1:5432/mlflow")
    assert not is_local("postgresql://bench@db.example.org/mlflow")
    assert is_local("file:///x/mlruns")
    assert not is_local("file://db.example.org/mlruns")
    assert not is_local("databricks://team")
    assert not is_local("arn:aws:sagemaker:eu-west-1:1:mlflow-tracking-server/x")


def test_a_row_whose_hyperparameters_have_changed_gets_a_run_of_its_own(workspace, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    text = (
        "title: T\nwhy: W\ndataset: synthetic\nseeds: [0, 1]\nexamples: false\nmethods:\n"
        "  - {method: rnmf, label: RNMF, fixed: {atoms: ATOMS, iterations: 1}}\n"
        "  - {method: mixture, label: Mixture}\n"
    )
    for atoms in ("1", "2", "2"):
        Path("edited.yaml").write_text(text.replace("ATOMS", atoms))
        assert bench("run", "edited.yaml", "--workers", "0") == 0
        client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("edited")
        runs = client.search_runs([experiment.experiment_id])
        (row,) = [run for run in runs if run.data.tags["bench.kind"] == "row"]
        assert row.data.params["atoms"] == atoms
        assert {run.info.status for run in runs} == {"FINISHED"}
