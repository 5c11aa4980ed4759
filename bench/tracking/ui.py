"""The MLflow UI on this machine, with an experiment open: its rows listed under it, best first.

The page opens with a view that a tag of the experiment holds (``mlflow.sharedViewState.<key>``),
which is the tag that the UI's button "Share" writes. A version of the UI that does not know the tag
opens with its own default view.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import BenchError, nearest
from bench.store.workspace import Workspace
from bench.tracking import default_store
from bench.tracking.address import is_server, json_text, store_client, store_error, without_secret

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Key of the shared view.
KEY = "bench"
VIEW = f"mlflow.sharedViewState.{KEY}"
#: Longest time in seconds to wait for a server's first answer; slow machines need a minute.
_PATIENCE_S = 120


def set_view(
    client: MlflowClient,
    experiment_id: str,
    parent_id: str,
    metrics: Sequence[str],
    swept: Sequence[str],
) -> None:
    """Make the page of an experiment open with its rows listed by their places.

    Parameters
    ----------
    client
        Client of the store.
    experiment_id, parent_id
        Id of the experiment, and of the run that stands for it.
    metrics, swept
        Metrics and swept hyperparameters that are columns.
    """
    view = {
        "runsExpanded": {parent_id: True},
        "selectedColumns": [
            "tags.`method`",
            "tags.`seed`",
            *[f"params.`{name}`" for name in swept],
            *[f"metrics.`{name}`" for name in (*metrics, f"{metrics[0]}_sd", "place")],
        ],
        "orderByKey": "metrics.`place`",
        "orderByAsc": True,
    }
    client.set_experiment_tag(experiment_id, VIEW, json_text(view))


def page(uri: str, experiment: str | None) -> str:
    """Return the path of an experiment's page on a server; of the latest one if none is named.

    Raises
    ------
    BenchError
        The store cannot be used, or holds no experiment of that name.
    """
    try:
        stored = store_client(uri).search_experiments(order_by=["last_update_time DESC"])
    except Exception as error:  # noqa: BLE001 - a store fails in many ways, none of them ours
        raise store_error(uri, error) from None
    ours = {one.name: one for one in stored if one.experiment_id != "0"}
    if experiment is not None and experiment not in ours:
        raise BenchError(f"no experiment {experiment!r} in the store; {nearest(experiment, ours)}")
    chosen = ours[experiment] if experiment else next(iter(ours.values()), None)
    if chosen is None:
        return "/"
    shared = f"&viewStateShareKey={KEY}" if VIEW in chosen.tags else ""
    kind = "workflowType=machine_learning"
    return f"/#/experiments/{chosen.experiment_id}/runs?{kind}{shared}"


def serve(workspace: Workspace, experiment: str | None, port: int, show: bool) -> None:
    """Serve the UI of the store on 127.0.0.1 until it is interrupted.

    Where the store is a server, the address of the experiment is printed instead.

    Parameters
    ----------
    workspace
        The working directory.
    experiment
        Name of the experiment to open; the latest one if None.
    port
        Port of the server.
    show
        Whether to open the page in a browser once the server answers.

    Raises
    ------
    BenchError
        There is no store yet, it cannot be used, it holds no such experiment, or the port is
        taken.
    """
    uri = default_store.ready_uri(workspace)
    if is_server(uri):
        address = without_secret(uri).rstrip("/") + page(uri, experiment)
        print(f"the store is a server already: open {address}")
        return
    _check_free(port)
    server = f"http://127.0.0.1:{port}"
    address = server + page(uri, experiment)
    # Python's safe path: no module is taken from the working directory.
    command = [sys.executable, "-P", "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Nothing here sends jobs to the server; their runner would take a second process's memory.
    without_jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {**without_jobs, **os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PYTHONSAFEPATH"] = "1"
    # Other users see the words of a command in `ps`, and the URI may hold a password.
    environment["MLFLOW_BACKEND_STORE_URI"] = uri
    ends = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, _interrupt) for number in ends]
    # A session of its own: what the server starts is ended with it.
    # MLflow's output goes to standard error: standard output holds only the address.
    process = subprocess.Popen(command, env=environment, stdout=2, start_new_session=True)
    try:
        if _answers(server, process):
            print(f"MLflow: {address}\nend it with Ctrl-C", flush=True)
            if show:
                webbrowser.open(address)
        elif process.poll() is None:
            print(f"MLflow does not answer at {server} yet; end it with Ctrl-C", flush=True)
        process.wait()
    except KeyboardInterrupt:
        pass
    finally:
        status = process.poll()
        for number in (signal.SIGINT, *ends):
            signal.signal(number, signal.SIG_IGN)  # a second one must not leave the server behind
        _end(process)
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if status:
        raise BenchError(f"MLflow's server ended with status {status}: see above")


def _interrupt(*_: object) -> None:
    """Do at SIGTERM what Ctrl-C does."""
    raise KeyboardInterrupt


def _check_free(port: int) -> None:
    """Refuse a port that cannot be used, such as one that another process listens at.

    Raises
    ------
    BenchError
        The port is taken, or may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BenchError(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); name another by "
                "--port"
            ) from None


def _answers(server: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a server answers; tell whether it does so before its process ends."""
    until = time.monotonic() + _PATIENCE_S
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError, http.client.HTTPException):
            direct.open(f"{server}/health", timeout=2).close()
            return True
        time.sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it has started."""
    for number, patience_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
