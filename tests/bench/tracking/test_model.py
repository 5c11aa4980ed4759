"""The trained method as an MLflow model: logged with its run, loaded without pickle."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

import bench as suite
from bench.errors import BenchError
from bench.methods import chunks
from bench.methods.saved import load_saved
from bench.store.manifest import load_manifest
from bench.track import TARGETS
from bench.tracking import model
from bench.tracking.model import log_model
from tests.command import run_in

TRAINED = """\
title: Trained
why: A test.
dataset: synthetic
methods:
  - {method: mixture, label: Mixture}
  - method: drnn
    label: DNN {test_mask}
    fixed: {hidden: 12, layers: 2, recurrent: none, epochs: 1, mask: none}
    sweep: {test_mask: [none, binary]}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, empty_store) -> Path:
    return run_in(tmp_path_factory.mktemp("trained"), "trained.yaml", TRAINED, empty_store)


@pytest.fixture
def runs(trained, monkeypatch):
    monkeypatch.chdir(trained)
    mlflow.set_tracking_uri(f"sqlite:///{trained}/mlflow.db")
    yield mlflow.MlflowClient().search_runs(["1"], "tags.`bench.kind` = 'cell'")
    mlflow.set_tracking_uri(None)


def run_of(runs, row):
    (run,) = [run for run in runs if run.data.tags["row"] == row]
    return run


@pytest.mark.parametrize("row", ["DNN none", "DNN binary"])
def test_the_logged_model_gives_the_stems_of_its_row(runs, trained, test_track, row):
    model = mlflow.pyfunc.load_model(f"runs:/{run_of(runs, row).info.run_id}/model")
    stems = model.predict(test_track.mixture, params={"rate": test_track.rate})
    (folder,) = [f for f in load_manifest(Path("runs"), "trained").folders if f.cell.row == row]
    method = folder.cell.build()
    vars(method).update(load_saved(next(Path("runs").glob("*/fit"))).learned())
    voice = method.separate(test_track.mixture, test_track.rate)["vocals"]
    assert tuple(stems) == TARGETS
    np.testing.assert_array_equal(stems["vocals"], voice)
    np.testing.assert_array_equal(stems["accompaniment"], test_track.mixture - voice)


def test_the_model_resamples_and_cuts_long_songs_as_the_loader_does(runs, monkeypatch):
    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)
    uri = f"runs:/{run_of(runs, 'DNN binary').info.run_id}/model"
    rate, song = 44_100, 0.1 * np.random.default_rng(0).standard_normal((2, 35 * 44_100))
    method = suite.load(uri)
    assert len(chunks.cuts(song.shape[1], 2, rate, method.for_rate(rate).alignment(rate))) > 2
    stems = mlflow.pyfunc.load_model(uri).predict(song, params={"rate": rate})
    expected = method.separate(song, rate)
    for target in TARGETS:
        np.testing.assert_array_equal(stems[target], expected[target])


def test_the_signature_says_audio_in_and_stems_out(runs):
    uri = f"runs:/{run_of(runs, 'DNN none').info.run_id}/model"
    signature = mlflow.models.get_model_info(uri).signature
    assert signature.outputs.input_names() == list(TARGETS)
    assert [param.name for param in signature.params.params] == ["rate"]
    model = mlflow.pyfunc.load_model(uri)
    assert model.predict(np.zeros((1, 1000)))["vocals"].shape == (1, 1000)
    with pytest.raises(MlflowException, match="shape"):
        model.predict(np.zeros(1000))


def test_a_method_that_learns_nothing_has_no_model(runs):
    outputs = run_of(runs, "Mixture").outputs
    assert not (outputs and outputs.model_outputs)


@pytest.fixture
def new_run(runs):
    """A store, a run without a model in it, and the folder of a trained cell."""
    client = mlflow.MlflowClient()
    trained = client.get_experiment_by_name("failing")
    experiment = trained.experiment_id if trained else client.create_experiment("failing")
    run = client.create_run(experiment)
    (folder,) = [f for f in load_manifest(Path("runs"), "trained").folders if "none" in f.cell.row]
    return client, run, folder


def statuses(client, run) -> list[str]:
    """Return the status of each model that was logged of a run, ready or not."""
    models = client.search_logged_models([run.info.experiment_id])
    return [str(model.status) for model in models if model.source_run_id == run.info.run_id]


@pytest.mark.parametrize("step", ["log_model_artifacts", "log_batch", "log_outputs"])
def test_a_model_that_could_not_be_logged_whole_is_marked_as_failed(new_run, monkeypatch, step):
    client, run, folder = new_run

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(client, step, away)
        with pytest.raises(ConnectionError, match="away"):
            log_model(client, run.info.run_id, folder, {})
    assert statuses(client, run) == ["FAILED"]
    log_model(client, run.info.run_id, folder, {})
    assert sorted(statuses(client, run)) == ["FAILED", "READY"]


def test_a_method_that_cannot_be_read_leaves_no_model_behind(new_run, monkeypatch):
    client, run, folder = new_run

    def damaged(_: object) -> None:
        raise BenchError("damaged")

    monkeypatch.setattr(model, "load_method", damaged)
    with pytest.raises(BenchError, match="damaged"):
        log_model(client, run.info.run_id, folder, {})
    assert statuses(client, run) == []


def test_a_folder_that_names_no_separator_is_refused(tmp_path):
    with pytest.raises(BenchError, match="no saved method"):
        load_saved(tmp_path)
    (tmp_path / "separator.json").write_text(json.dumps({"class": "os:system"}))
    with pytest.raises(BenchError, match="subclass"):
        load_saved(tmp_path)
