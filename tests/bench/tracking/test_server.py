"""A real MLflow server that goes away in the middle of a sweep and comes back."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import mlflow
import pytest

from bench.tracking import recorder
from tests.command import bench, end, free_port, wait_until

SWEEP = """\
title: Sweep
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: nmf, label: NMF, fixed: {atoms: 2}, sweep: {iterations: [5, 6]}}
  - {method: drnn, label: DNN, fixed: {hidden: 12, layers: 2, recurrent: none, epochs: 3}}
  - {method: 'broken:Broken', label: Broken}
"""
BROKEN = """\
from bench.methods.separator import Separator, separator


@separator
class Broken(Separator):
    def separate(self, mixture, rate):
        raise RuntimeError('no luck')
"""


def serve(begin, folder: str, port: int):
    """Start a server as a user does, and wait until it answers."""
    Path(folder).mkdir(exist_ok=True)
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--artifacts-destination", f"{folder}/artifacts"]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = begin(*words, module="mlflow", **settings)

    def answers() -> bool:
        assert process.poll() is None, process.communicate()[0]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    wait_until(answers, "the server")
    return process


def figures(uri: str) -> dict[str, tuple[str, dict[str, float]]]:
    store = mlflow.MlflowClient(tracking_uri=uri)
    experiment = store.get_experiment_by_name("sweep")
    runs = store.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    return {run.data.tags["row"]: (run.info.status, run.data.metrics) for run in runs}


# The recorder's thread and the training both change the filters of warnings, which belong to all
# threads: a warning of Lightning that slips through must not fail the cell.
@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_a_server_that_is_away_for_a_while_costs_nothing(workspace, monkeypatch, capsys, begin):
    Path("broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(workspace))
    Path("sweep.yaml").write_text(SWEEP)
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = serve(begin, "first", port)
    finish = recorder.Tracker.finish

    def then_die(tracker, folder) -> bool:
        taken = finish(tracker, folder)
        if server.poll() is None:
            end(server)
        return taken

    with pytest.MonkeyPatch.context() as patch:  # the server dies when it has the first cell
        patch.setattr(recorder.Tracker, "finish", then_die)
        assert bench("run", "sweep.yaml", "--workers", "0") == 1
    out, err = capsys.readouterr()
    assert "4 cells: 3 computed, 0 reused, 1 failed" in out
    assert f"MLflow at {uri} failed (" in err
    assert "no result is lost" in err
    assert "the same command, or bench track sweep" in err
    assert bench("track", "sweep") == 2
    assert "MLflow cannot be used at" in capsys.readouterr().err

    server = serve(begin, "first", port)
    assert bench("run", "sweep.yaml", "--workers", "0") == 1
    assert capsys.readouterr().err == ""
    once = figures(uri)
    assert {row: status for row, (status, _) in once.items()} == {
        "NMF (iterations = 5)": "FINISHED",
        "NMF (iterations = 6)": "FINISHED",
        "DNN": "FINISHED",
        "Broken": "FAILED",
    }
    end(server)

    server = serve(begin, "second", port)  # an empty one in its place
    assert bench("track", "sweep") == 0
    assert "4 cells: 4 in MLflow, 1 of them as failed" in capsys.readouterr().out
    assert figures(uri) == once
    end(server)
