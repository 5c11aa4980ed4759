"""The MLflow UI in a real browser, as ``bench ui`` opens it on the experiment `quick`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from playwright.sync_api import expect

from bench.store.workspace import Workspace
from bench.tracking import ui
from tests.bench.tracking import postgres
from tests.browser import ROOT, chromium, shoot, wait_for
from tests.command import bench, free_port, wait_until

#: As the file has it, but with networks that train in a moment.
SMALLER = [
    word
    for i in (6, 7, 8)
    for name, value in (("hidden", 16), ("epochs", 4))
    for word in ("-o", f"methods[{i}].fixed.{name}={value}")
]
CELLS = [
    "Mixture", "Ideal binary mask", "Ideal ratio mask", "Phase-sensitive mask", "RPCA, soft mask",
    "RPCA, binary mask", "NMF, seed 0", "DNN, seed 0", "DRNN-2, seed 0", "DRNN-2 + discrim, seed 0",
]  # fmt: skip
BOUNDS = set(CELLS[:4])
#: The UI loads megabytes of script; a busy machine takes its time.
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """What ``bench ui`` prints: the page of the experiment, served until the tests are over."""
    folder = tmp_path_factory.mktemp("ui")
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(ROOT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        quick = ROOT / "experiments" / "quick.yaml"
        assert bench("run", str(quick), "--workers", "0", *SMALLER) == 0
    command = [sys.executable, "-c", "from bench.cli.main import main; main()", "ui", "quick"]
    process = subprocess.Popen(
        [*command, "--port", str(free_port())], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    page_address = ""
    try:
        first = process.stdout.readline()
        assert first.startswith("MLflow: http://127.0.0.1:"), first
        page_address = first.removeprefix("MLflow: ").strip()
        wait_for(page_address.split("/#/")[0] + "/health", process)
        yield page_address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()
    port = int(page_address.split(":")[2].split("/")[0])
    with socket.socket() as probe:  # nobody is left who listens there
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_that_is_taken_is_refused_at_once(workspace, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert bench("ui", "--port", str(port)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"bench: port {port} of 127.0.0.1 cannot be used (Address already in use); name another by "
        "--port\n"
    )


def test_the_uri_of_a_store_is_no_word_of_a_command_that_others_see(workspace, monkeypatch):
    uri = "postgresql://bench:s3cret@db.example.org/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(ui, "page", lambda *_: "/")
    started = []
    popen = subprocess.Popen

    def note(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        started.append((command, settings["env"]))
        return popen([sys.executable, "-c", ""], **settings)

    monkeypatch.setattr(subprocess, "Popen", note)
    ui.serve(Workspace(), None, free_port(), show=False)
    ((command, environment),) = started
    assert "s3cret" not in " ".join(command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri


def test_the_ui_shows_a_database_without_telling_others_its_password(workspace, begin):
    pytest.importorskip("psycopg", reason="needs psycopg[binary], which is not installed")
    with postgres.server() as database:
        uri = database.replace("bench@", "bench:s3cret@")
        MlflowClient(uri).create_experiment("shared")
        port = free_port()
        served = begin("ui", "shared", "--port", str(port), MLFLOW_TRACKING_URI=uri)
        wait_until(lambda: "end it with Ctrl-C" in served.log.read_text(), "the server")
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert any(str(port).encode() in command for command in commands)
        assert not [command for command in commands if b"s3cret" in command]
        served_store = MlflowClient(f"http://127.0.0.1:{port}")
        assert served_store.get_experiment_by_name("shared") is not None
        served.send_signal(signal.SIGINT)
        said, _ = served.communicate(60)
        assert "s3cret" not in said


@pytest.fixture(scope="module")
def browser():
    with chromium() as running_browser:
        yield running_browser


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    elsewhere: list[str] = []
    opened.on("request", lambda r: elsewhere.append(r.url) if is_elsewhere(r.url) else None)
    opened.goto(address)
    expect(opened.get_by_role("link", name="Phase-sensitive mask")).to_be_visible()
    opened.get_by_role("button", name="Close").first.click()  # MLflow's assistant
    yield opened
    context.close()
    assert elsewhere == []


def is_elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def listed(page) -> list[str]:
    return page.locator("a[href*='/runs/']").all_inner_texts()


def choose_drnn(page) -> None:
    box = page.get_by_test_id("search-box")
    box.fill("tags.method = 'drnn'")
    box.press("Enter")
    expect(page.get_by_role("link", name="NMF, seed 0")).to_have_count(0)


def test_the_ui_opens_with_the_cells_of_quick_listed(page):
    names = listed(page)
    assert set(CELLS) <= set(names)
    rows = [name for name in names if name in CELLS]
    assert rows[0] not in BOUNDS, "the best method first"
    assert set(rows[-4:]) == BOUNDS, "bounds last"
    expect(page.get_by_text("vocals/gnsdr").first).to_be_visible()
    shoot(page, "mlflow-runs")


def test_the_ui_filters_by_the_tag_method(page):
    choose_drnn(page)
    assert {name for name in listed(page) if name in CELLS} == set(CELLS[-3:])


def test_two_runs_are_compared_with_their_curves(page):
    choose_drnn(page)
    for name in ("DNN, seed 0", "DRNN-2, seed 0"):
        link = page.get_by_role("link", name=name, exact=True)
        row = page.get_by_role("row").filter(has=link).first
        row.locator("input[type=checkbox]").first.check(force=True)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible(timeout=PATIENCE_MS)
    shoot(page, "mlflow-compare")
    # Its plot comes late and moves what is below it, so the link is followed, not clicked.
    metric = page.get_by_role("link", name="train/loss").first.get_attribute("href")
    page.goto(page.url.split("#")[0] + metric)
    for name in ("DNN, seed 0", "DRNN-2, seed 0"):
        expect(page.get_by_text(f"{name} (train/loss)", exact=True)).to_be_visible()
    lines = page.locator(".scatterlayer .trace path.js-line")
    expect(lines.nth(1)).to_be_attached()  # one line comes after the other
    paths = [line.get_attribute("d") for line in lines.all()]
    assert len(set(paths)) >= 2, "each run has a curve of its own; MLflow may colour both alike"
    assert all("L" in path for path in paths), "points along the epochs"
    shoot(page, "mlflow-curves")


def test_the_table_of_tracks_is_set_side_by_side(page):
    choose_drnn(page)
    page.goto(page.url + "&compareRunsMode=ARTIFACT")
    expect(page.get_by_test_id("dropdown-tables")).to_contain_text("tracks/bss_eval_v3.json")
    chosen = page.get_by_role("combobox")
    expect(chosen.filter(has_text=re.compile(r"Group by:\s*track"))).to_be_visible()
    expect(chosen.filter(has_text=re.compile(r"Compare:\s*vocals/nsdr"))).to_be_visible()
    expect(page.get_by_text("test_00").first).to_be_visible(timeout=PATIENCE_MS)
    shoot(page, "mlflow-tracks")
