from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import provenance
from bench.report.formats.index_page import index_page
from bench.report.index import summaries
from bench.report.write import write_index
from bench.store.results import SCHEMA_VERSION
from tests.browser import chromium, shoot
from tests.command import ROOT

ROWS = "row,group,target,protocol,metric,value\n"
NAUGHTY = "<img src=x onerror=alert(1)>"


def report(
    reports: Path, name: str, rows: str = "", commits: tuple[str, ...] = (), **facts
) -> None:
    """Write the files of a report that the index reads."""
    folder = reports / name
    folder.mkdir(parents=True)
    captured = provenance.capture("cpu")
    scored = [{"provenance": {**captured, "commit": commit}} for commit in commits] or [{}]
    cell = {
        "row": "A",
        "fingerprint": "0",
        "status": "done",
        "error": None,
        "scores": dict(enumerate(scored)),
    }
    content = {
        "report": {"time": "2026-01-02T03:04:05+00:00", "commit": "0", "versions": {}},
        "experiment": {"title": NAUGHTY, "examples": False},
        "overrides": [],
        "corpus": {
            "title": "Corpus",
            "citation": "Somebody.",
            "licence": "free",
            "n_test": 3,
            "n_full": 3,
        },
        "schema_version": SCHEMA_VERSION,
        "cells": [cell],
    }
    (folder / "provenance.json").write_text(json.dumps(content | facts))
    (folder / "rows.csv").write_text(ROWS + rows)


def test_the_best_row_is_ranked_finite_and_of_the_first_column(tmp_path):
    rows = (
        "Bound,bound,vocals,bss_eval_v3,gnsdr,13.0\n"
        "Imported,imported,vocals,bss_eval_v3,gnsdr,12.0\n"
        "Perfect,supervised,vocals,bss_eval_v3,gnsdr,inf\n"
        "Failed,supervised,vocals,bss_eval_v3,gnsdr,\n"
        "Ours,unsupervised,vocals,bss_eval_v3,gnsdr,5.678\n"
        "Worse,supervised,vocals,bss_eval_v3,gnsdr,5.0\n"
        "Worse,supervised,vocals,bss_eval_v3,gsir,50.0\n"
        "Worse,supervised,accompaniment,bss_eval_v3,gnsdr,60.0\n"
    )
    report(tmp_path, "one", rows, ("a" * 40, "a" * 40))
    ((summary,), damaged) = summaries(tmp_path)
    assert damaged == []
    assert (summary.best, summary.best_value) == ("Ours", "GNSDR 5.68 dB, vocals")
    assert (summary.n_rows, summary.n_done, summary.commits) == (1, 1, ("a" * 10,))
    assert summary.written == "2026-01-02"


def test_a_report_without_numbers_is_listed_and_a_damaged_one_is_named(tmp_path):
    report(tmp_path, "empty")
    report(tmp_path, "damaged", cells=3)
    report(tmp_path, "dated", report={"time": 3})
    report(tmp_path, "nested", cells=[{"row": "A", "status": "done", "scores": []}])
    report(tmp_path, "long", f"Ours,supervised,vocals,usdr,sdr,{'1' * 200_000}\n")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "provenance.json").write_text("{")
    ((summary,), damaged) = summaries(tmp_path)
    assert damaged == ["damaged", "dated", "long", "nested", "torn"]
    page = write_index(tmp_path).read_text()
    assert "Damaged and left out: damaged, dated, long, nested, torn." in page
    assert (summary.name, summary.best) == ("empty", "")


@pytest.mark.slow
def test_the_page_hides_nothing_on_a_phone_and_runs_nothing(tmp_path):
    report(
        tmp_path, "a b", "Ours,supervised,vocals,usdr,sdr,1.5\n", ("a" * 40, "b" * 40 + "-dirty")
    )
    (tmp_path / "a b" / "index.html").write_text("<h1>The report</h1>")
    path = write_index(tmp_path)
    assert NAUGHTY not in path.read_text()
    with chromium() as browser:
        page = browser.new_page()
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(path.as_uri())
            shoot(page, f"index-{width}")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            shown = page.inner_text("tbody")
            for text in ("Ours", "SDR 1.50 dB, vocals", "2026-01-02", "2 commits", "uncommitted"):
                assert text in shown
        page.get_by_role("link", name=NAUGHTY).click()
        assert page.get_by_role("heading").inner_text() == "The report"
        assert messages == []


def test_the_committed_index_is_what_the_committed_reports_give(tmp_path):
    reports = ROOT / "reports"
    assert (reports / "index.html").read_text() == index_page(*summaries(reports))
    shutil.copytree(reports / "shift", tmp_path / "shift")
    assert "Circular shifts in training" in write_index(tmp_path).read_text()
