"""The page of a report in a real browser, from disk: what it shows, and how it can be used."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.report.numbers import rounded
from bench.report.tabulate import tabulate
from bench.report.write import write_report
from bench.scoring.protocols import score_track
from bench.store.cell_folder import CellFolder
from bench.store.listening import prepare_clips, write_estimates
from bench.store.results import Results, read_outcome
from bench.store.workspace import Workspace
from tests.browser import chromium, shoot, until

#: Keeps the times of all signals at the moment at which the second begins to play.
AT_THE_SWITCH = """() => {
  const signals = [...document.querySelectorAll('.player audio')];
  signals[1].addEventListener('play', () => {
    window.timesAtTheSwitch ??= signals.map(signal => signal.currentTime);
  });
}"""
NAUGHTY = "Bad <img src=x onerror=alert(1)> & | $x$"
METHODS = {
    "Ratio, half": ("ideal_ratio_mask", "supervised", {}),
    NAUGHTY: ("mixture", "unsupervised", {}),
    "Undefined": ("mixture", "unsupervised", {}),
    "Failed": ("mixture", "unsupervised", {}),
    "Missing": ("mixture", "unsupervised", {}),
    "Mixture": ("mixture", "bound", {}),
    "Ideal ratio mask": ("ideal_ratio_mask", "bound", {}),
}


class FourTracks(Synthetic):
    """The synthetic corpus with four test tracks."""

    def names(self, split):
        return super().names(split)[:4]


@pytest.fixture(scope="module")
def workspace_of_page(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def results(workspace_of_page) -> Results:
    """Rows of every kind, on the clips of the synthetic corpus."""
    dataset, runs = FourTracks(), workspace_of_page.runs
    digests, outcomes = {"test": "d" * 64}, []
    tracks = list(dataset.tracks("test"))
    clips = prepare_clips(runs, dataset, digests["test"])
    for n, (label, (method, group, values)) in enumerate(METHODS.items()):
        hyperparameters = {"n_fft": 1024, "hop": 512, "power": n % 2 + 1} | values
        if method == "mixture":
            hyperparameters = {}
        cell = Cell(label, method, group, n, hyperparameters, None, "synthetic", digests,
                    {"bss_eval_v3": 1})  # fmt: skip
        folder = CellFolder(runs, cell)
        folder.begin()
        if label == "Failed":
            folder.write_state("failed", error="BenchError: out of <luck>")
        elif label != "Missing":
            frames = [
                pd.DataFrame(score_track("bss_eval_v3", t, estimates(label, t, n))) for t in tracks
            ]
            scores = pd.concat(frames, ignore_index=True)
            if label == "Undefined":
                scores["value"] = np.nan
            for track in tracks:
                write_estimates(folder, clips, track, estimates(label, track, n))
            facts = {"separate_s": 1.5, "audio_s": 16.0, "peak_bytes": 300 * 2**20}
            folder.write_scores("bss_eval_v3", scores, facts)
        outcomes.append(read_outcome(folder, "x"))
    entries = [{"method": method, "label": label} for label, (method, *_) in METHODS.items()]
    entries[0]["published"] = {"vocals": {"gnsdr": 7.5}}
    experiment = Experiment(
        name="rows", title="Rows <of> every kind", why="What does `each` look like?",
        dataset="synthetic", methods=entries, table={"targets": ["vocals"]},
    )  # fmt: skip
    corpus = {"title": dataset.TITLE, "citation": dataset.CITATION, "licence": dataset.LICENCE,
              "n_test": 4, "n_full": 8, "shares_audio": True}  # fmt: skip
    return Results(experiment, corpus, outcomes)


def estimates(label, track, n):
    """A little of the truth in the mixture, more of it for every row; the truth is infinite."""
    share = {"Mixture": 0.0, "Ideal ratio mask": 1.0}.get(label, 0.5 / (n + 1))
    half = dict.fromkeys(track.references, track.mixture / 2)
    return {t: share * track.references[t] + (1 - share) * half[t] for t in half}


@pytest.fixture(scope="module")
def folder(results, workspace_of_page) -> Path:
    return write_report(tabulate(results), workspace_of_page)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running_browser:
        yield running_browser


@pytest.fixture
def page(browser, folder):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: said.append(request.url) if outside(request) else None)
    opened.goto((folder / "index.html").as_uri())
    yield opened
    context.close()
    assert said == [], "an error, or a request that leaves the report"


def outside(request) -> bool:
    return not request.url.startswith(("file:", "data:"))


def test_the_numbers_of_the_table_are_those_of_rows_csv(page, folder):
    rows = pd.read_csv(folder / "rows.csv").set_index(["row", "metric"])
    cells = page.locator("table.results td[data-metric]").all()
    assert len(cells) == 3 * len(METHODS)
    for cell in cells:
        row = rows.loc[(cell.get_attribute("data-row"), cell.get_attribute("data-metric"))]
        text = cell.locator(".value").inner_text().replace("≈", "").strip()
        if row["status"] in ("failed", "missing"):
            assert (text, cell.get_attribute("data-value")) == (row["status"], "")
            continue
        assert text == rounded(row["value"])
        if math.isfinite(row["value"]):
            assert float(cell.get_attribute("data-value")) == pytest.approx(row["value"], abs=1e-6)
            low, high = (rounded(row[end]) for end in ("low", "high"))
            assert cell.locator(".interval").inner_text() == f"[{low}, {high}]"


def test_undefined_infinite_failed_and_missing_appear_as_such(page, folder):
    def shown(label):
        row = page.locator("table.results tr").filter(has=page.get_by_role("rowheader", name=label))
        return row.last.locator("td").first.inner_text().strip()

    assert shown("Undefined") == "undefined"
    assert shown("Ideal ratio mask") == "∞"
    assert shown("Failed") == "failed"
    assert shown("Missing") == "missing"
    assert "Failed failed: BenchError: out of <luck>" in page.locator("#notes").inner_text()
    for name in ("table.md", "table.tex", "rows.csv"):
        text = (folder / name).read_text()
        words = ["undefined", "failed", "missing", {"table.md": "∞", "table.tex": "\\infty"}.get(
            name, "inf")]  # fmt: skip
        assert all(word in text for word in words), name


def test_the_rows_at_a_glance_come_before_the_first_table(page):
    assert page.locator("#results > *").nth(1).get_attribute("class") == "overview"
    drawn = page.locator(".overview svg").text_content()
    assert "GNSDR (dB)" in drawn
    assert "Ratio, half" in drawn
    assert "Missing" not in drawn
    assert "Diamonds: published values." in page.locator(".overview figcaption").inner_text()


def test_two_rows_are_compared_track_by_track(page, results):
    figure = page.locator(".pairs")
    across, up = figure.get_by_label("Across"), figure.get_by_label("Up")
    assert {across.input_value(), up.input_value()} == {"Ratio, half", NAUGHTY}
    up.select_option("Mixture")
    across.select_option("Ratio, half")
    assert figure.locator("circle").count() == 4
    tables = tabulate(results).tracks["bss_eval_v3", "vocals"]
    one, other = (tables[label, "gnsdr"] for label in ("Ratio, half", "Mixture"))
    titles = figure.locator("circle title").all_text_contents()
    for title, name, x, y in zip(titles, one.names, one.seed_mean, other.seed_mean, strict=True):
        assert title == f"{name}: {round(x, 2):g} across, {round(y, 2):g} up"
    n_above = int((other.seed_mean > one.seed_mean).sum())
    assert f"Mixture is above Ratio, half on {n_above} of 4 tracks." in figure.inner_text()
    assert {name for name in one.names if name in figure.locator("svg").text_content()}
    up.select_option("Undefined")
    assert figure.locator("circle").count() == 0
    assert "4 are undefined or infinite and not drawn" in figure.inner_text()


def test_sorting_keeps_groups_apart_and_puts_what_has_no_number_last(page):
    def order():
        rows = page.locator("table.results tbody.unsupervised th[scope=row]")
        return rows.all_inner_texts()

    first = order()
    heading = page.get_by_role("columnheader", name="GNSDR ↑")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert order()[0] == NAUGHTY
    assert set(order()[1:]) == {"Undefined", "Failed", "Missing"}
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert order()[0] == NAUGHTY, "what has no number stays last"
    page.keyboard.press("Enter")
    assert order() == first
    method = page.get_by_role("columnheader", name="Method").first.get_by_role("button")
    method.click()
    assert order() == sorted(first)


def test_the_player_switches_between_signals_and_keeps_the_time(page):
    player = page.locator(".player").first
    seek = player.get_by_role("slider")
    seek.fill("1.5")
    player.get_by_role("button", name="Play").click()
    player.get_by_role("button", name="Pause").wait_for()
    until(page, "document.querySelectorAll('audio')[0].currentTime > 1.6")
    page.evaluate(AT_THE_SWITCH)
    player.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowDown")  # the next signal, by the keyboard alone
    until(page, "!document.querySelectorAll('audio')[1].paused")
    until(page, "window.timesAtTheSwitch !== undefined")
    times = page.evaluate("window.timesAtTheSwitch")
    paused = page.evaluate("[...document.querySelectorAll('.player audio')].map(a => a.paused)")
    assert not paused[1]
    assert paused[0]
    assert -0.01 <= times[1] - times[0] < 0.5
    until(page, f"document.querySelectorAll('audio')[1].currentTime > {times[1] + 0.1}")
    player.get_by_role("button", name="Pause").click()
    at = float(seek.input_value())
    player.get_by_role("radio").nth(2).check()
    assert page.evaluate("document.querySelectorAll('audio')[2].currentTime") == pytest.approx(
        at, abs=0.06
    )


def test_a_second_player_stops_the_first(page):
    players = page.locator(".player")
    for i in (0, 1):
        players.nth(i).get_by_role("button", name="Play").click()
        players.nth(i).get_by_role("button", name="Pause").wait_for()
    assert players.nth(0).get_by_role("button", name="Play").count() == 1


def test_what_a_label_holds_is_text_and_every_picture_is_described(page):
    assert page.locator("img[src='x']").count() == 0
    assert page.title() == "Rows <of> every kind"
    pictures = page.locator("img, svg[role=img]").all()
    assert len(pictures) > 10
    for picture in pictures:
        assert picture.get_attribute("alt") or picture.get_attribute("aria-label")
    loaded = "Promise.all([...document.images].map(i => {i.loading = 'eager'; return i.decode()}))"
    page.evaluate(loaded)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_nothing_is_wider_than_the_page(browser, folder, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    small = "[...document.querySelectorAll('main *')].filter(e => e.childElementCount == 0 && " \
            "e.textContent.trim() && !e.closest('svg') && " \
            "parseFloat(getComputedStyle(e).fontSize) < 11).length"  # fmt: skip
    assert page.evaluate(small) == 0
    shoot(page, f"report-{width}-{scheme}")
    context.close()


def test_it_prints_on_white_with_all_of_its_table(browser, folder, tmp_path):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')"
                         ).strip() == "#ffffff"  # fmt: skip
    assert not page.get_by_role("button", name="Play").first.is_visible()
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
    context.close()
