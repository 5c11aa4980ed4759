"""Which secrets of a store's URI are shown, and what is said of a store that is away."""

from __future__ import annotations

import pytest

import bench as suite
from bench.errors import BenchError
from bench.tracking.address import first_line, store_name, without_secret
from tests.command import bench, free_port

#: A port of loopback that nobody listens at.
AWAY = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://bench:s3cret@db/mlflow", "postgresql://db/mlflow"),
        ("postgresql://bench:s3/cret@db/mlflow", "postgresql://db/mlflow"),
        ("postgresql://bench:s3?cret@db/mlflow", "postgresql://db/mlflow"),
        ("postgresql://bench:s3cret@1@db:5432/mlflow", "postgresql://db:5432/mlflow"),
        ("postgresql://bench:s3 cret@db/mlflow", "postgresql://db/mlflow"),
        (
            "mysql+pymysql://db/mlflow?user=bench&password=s3cret&charset=utf8",
            "mysql+pymysql://db/mlflow?user=***&password=***&charset=utf8",
        ),
        ("postgresql:///mlflow?host=/run&pass%77ord=s3cret", "postgresql:///mlflow?host=/run&pass%77ord=***"),
        ("postgresql://db/mlflow?user=me@corp&password=s3cret", "postgresql://corp&password=***"),
        ("https://someone:s3cret@mlflow.example.org:5000/", "https://mlflow.example.org:5000/"),
    ],
)  # fmt: skip
def test_no_secret_of_a_uri_is_shown_or_noted(monkeypatch, uri, shown):
    assert without_secret(uri) == shown
    assert first_line(ValueError(f"{uri} is away".replace(" cret", "/cret"))) == f"{shown} is away"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store_name() == shown


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////data/R&D/me@work/mlflow.db",
        "postgresql://db.example.org/mlflow?sslmode=require",
        "http://127.0.0.1:5000",
        "databricks",
    ],
)
def test_a_uri_without_secrets_is_shown_as_it_is(uri):
    assert without_secret(uri) == uri


def test_a_database_that_takes_part_of_a_password_for_the_host_does_not_show_it():
    error = OSError("failed to resolve host 'ss@db': see /home/me@work/hosts")
    assert first_line(error) == "failed to resolve host 'db': see /home/me@work/hosts"


@pytest.fixture(params=["http", "postgresql"])
def away(request, bare_workspace, monkeypatch) -> str:
    """The address of a store that is away, as messages show it."""
    if request.param == "postgresql":
        pytest.importorskip("psycopg", reason="needs psycopg[binary], which is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{request.param}://bench:s3cret@{AWAY}/mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return f"{request.param}://{AWAY}/mlflow"


@pytest.mark.parametrize(
    "words",
    [
        ["ui", "--port", str(free_port())],
        ["register", "sweep", "DRNN"],
        ["separate", "x.wav", "--with", "runs:/" + 32 * "0"],
    ],
)
def test_a_store_that_is_away_is_one_line_with_a_way_out(away, capsys, words):
    assert bench(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"bench: MLflow cannot be used at {away} (")
    assert line.endswith(
        "; see that the store can be reached and written, or name another one in "
        "MLFLOW_TRACKING_URI"
    )
    assert "s3cret" not in line


def test_a_model_in_a_store_that_is_away_is_not_called_unknown(away):
    with pytest.raises(BenchError) as raised:
        suite.load("models:/voices/1")
    said = str(raised.value)
    assert said.startswith(f"models:/voices/1 cannot be read from MLflow at {away} (")
    assert "s3cret" not in said


def test_a_run_or_model_that_the_store_does_not_know_is_named(workspace):
    for run_id in (32 * "0", "no id!"):
        with pytest.raises(BenchError, match=f"no run '{run_id}' at sqlite:"):
            suite.load(f"runs:/{run_id}")
    with pytest.raises(BenchError, match=r"no model at models:/voices/1 \("):
        suite.load("models:/voices/1")
    with pytest.raises(BenchError, match=r"^models:/ cannot be read from MLflow at sqlite:"):
        suite.load("models:/")
