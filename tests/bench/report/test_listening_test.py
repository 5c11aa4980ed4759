"""A listening test from a finished run: its page in a real browser, its answers in the report."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

from bench.report.committed import load_committed, load_provenance
from bench.report.ratings import listening_result
from bench.report.tabulate import tabulate
from bench.report.verify import problems
from bench.store.listening import read_clips, true_signals
from bench.store.ratings import known_keys
from tests.browser import chromium, shoot, until
from tests.command import bench, run_in

EXPERIMENT = """\
title: Heard <b>here</b>
why: How good does it sound?
dataset: synthetic
protocols: [bss_eval_v3, mr_stft]
table: {targets: [vocals]}
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ideal <i>ratio</i> mask}
  - {method: rpca, label: "RPCA, {mask}", sweep: {mask: [soft, binary]}}
"""
ROWS = ["Mixture", "Ideal <i>ratio</i> mask", "RPCA, soft", "RPCA, binary"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, empty_store):
    folder = run_in(tmp_path_factory.mktemp("listening"), "heard.yaml", EXPERIMENT, empty_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert bench("listen", "heard") == 0
        yield folder


@pytest.fixture(scope="module")
def page_data(folder):
    page = (folder / "reports" / "heard" / "listening.html").read_text()
    data = page.partition('<script type="application/json" id="test">')[2].partition("</script>")[0]
    return json.loads(data)


def decoded(signal):
    content = base64.b64decode(signal["audio"])
    audio, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    return audio * signal["gain"], rate


def signals_of(folder, page_data, label):
    """Yield the signal of a stimulus, the reference and the rate for each trial."""
    key = known_keys(folder / "runs", "heard")[0]
    place = [one.label for one in key.stimuli].index(label)
    for trial, heard in zip(key.trials, page_data["trials"], strict=True):
        by_name = {one["name"]: one for one in heard["stimuli"]}
        signal, rate = decoded(by_name[trial.names[place]])
        yield signal, decoded(heard["reference"])[0], rate


def test_the_page_names_no_row_and_no_track_and_has_all_signals(folder, page_data):
    page = (folder / "reports" / "heard" / "listening.html").read_text()
    key = known_keys(folder / "runs", "heard")[0]
    assert [one.kind for one in key.stimuli][:2] == ["reference", "anchor"]
    assert sorted(one.label for one in key.stimuli[2:]) == sorted(ROWS)
    for word in (*ROWS, "Hidden", *(trial.track for trial in key.trials)):
        assert word not in page
    assert "Heard &lt;b&gt;here&lt;/b&gt;" in page
    assert len(page_data["trials"]) == 3
    for trial, heard in zip(key.trials, page_data["trials"], strict=True):
        assert [one["name"] for one in heard["stimuli"]] == sorted(trial.names)


def test_every_signal_is_as_loud_as_the_reference_and_none_clips(folder, page_data):
    for label in ("Anchor", *ROWS):
        for signal, reference, rate in signals_of(folder, page_data, label):
            levels = [pyloudnorm.Meter(rate).integrated_loudness(x) for x in (signal, reference)]
            assert levels[0] == pytest.approx(levels[1], abs=0.05)
            assert np.abs(signal).max() <= 0.9001


def test_the_anchor_is_the_reference_below_3500_hz_and_nothing_above_4000(folder, page_data):
    for anchor, reference, rate in signals_of(folder, page_data, "Anchor"):
        hertz = np.fft.rfftfreq(len(reference), 1 / rate)
        low, high = hertz < 3_300, hertz > 4_000
        spectra = [np.abs(np.fft.rfft(x[:, 0])) for x in (anchor, reference)]
        ratio = spectra[0][low] / np.maximum(spectra[1][low], 1e-9)
        loud = spectra[1][low] > 0.01 * spectra[1].max()
        assert np.ptp(20 * np.log10(ratio[loud])) < 0.5  # one gain for all
        assert np.square(spectra[0][high]).sum() < 1e-4 * np.square(spectra[1][high]).sum()


def test_the_same_estimates_keep_their_names_and_rows_can_be_chosen(folder, capsys):
    key = known_keys(folder / "runs", "heard")[0]
    assert bench("listen", "heard") == 0
    assert known_keys(folder / "runs", "heard")[0] == key
    assert bench("listen", "heard", "--rows", "RPCA, sof") == 2
    assert "did you mean 'RPCA, soft'?" in capsys.readouterr().err
    clips = read_clips(
        folder / "runs", load_provenance(folder / "reports/heard")["cells"][0]["digests"]["test"]
    )
    assert [clip.track for clip in clips] == [trial.track for trial in key.trials]
    assert all(
        path.is_file() for clip in clips for path in true_signals(folder / "runs", clip).values()
    )


def rate_all(page, value_of):
    """Rate every signal of the trial that is open, by the name of the stimulus."""
    names = page.evaluate("trial.answered.order")
    sliders = page.locator("#signals input")
    for i, name in enumerate(names):
        sliders.nth(i).fill(str(value_of(name)))


def test_the_page_of_a_corpus_that_may_not_be_passed_on_is_kept_out_of_the_reports(
    folder, bare_workspace, capsys
):
    shutil.copytree(folder, bare_workspace, dirs_exist_ok=True)
    Path("reports/heard/listening.html").unlink()
    path = Path("runs/experiments/heard.json")
    note = json.loads(path.read_text())
    note["corpus"]["shares_audio"] = False
    path.write_text(json.dumps(note))
    assert bench("listen", "heard") == 0
    out = capsys.readouterr().out
    assert "do not publish the page" in out
    assert "give this file to each listener: runs/listening/heard/listening.html" in out
    assert Path("runs/listening/heard/listening.html").is_file()
    assert not Path("reports/heard/listening.html").exists()


@pytest.mark.slow
def test_a_listener_goes_from_the_first_sound_to_the_report(folder, capsys):
    key = known_keys(folder / "runs", "heard")[0]
    given = {"reference": 100, "anchor": 40}
    worth = {"Mixture": 10, "Ideal <i>ratio</i> mask": 90, "RPCA, soft": 50, "RPCA, binary": 30}
    kind = {
        name: given.get(one.kind, worth.get(one.label))
        for trial in key.trials
        for name, one in zip(trial.names, key.stimuli, strict=True)
    }
    answers = folder / "answers"
    answers.mkdir()
    orders = []
    with chromium() as browser:
        for listener, file_name in (("Anna", "heard-Anna.json"), ("Ben Ü.", "heard-Ben_Ü_.json")):
            page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            errors = []
            page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            page.on("console", lambda line, errors=errors: errors.append(line.text))
            page.goto((folder / "reports" / "heard" / "listening.html").as_uri())
            page.fill("#listener", listener)
            page.click("#listener-form button")
            until(page, "!document.getElementById('trial').hidden")
            assert page.locator("#next").is_disabled()
            page.keyboard.press("b")  # the first sound
            until(page, "trial.playing && trial.heard === 2 && position() > 0.1")
            peak = page.evaluate(LOUDEST)
            assert peak > 0.001
            page.keyboard.press("]")
            until(page, "trial.end < 3")
            page.keyboard.press("r")
            assert page.evaluate("trial.heard") == 0
            page.keyboard.press(" ")
            assert not page.evaluate("trial.playing")
            page.keyboard.press("a")
            page.keyboard.press("Shift+ArrowRight")
            page.keyboard.press("ArrowLeft")
            first = page.evaluate("trial.answered.ratings[trial.answered.order[0]]")
            assert first == 59
            if listener == "Anna":
                shoot(page, "listening_1280")
                page.set_viewport_size({"width": 390, "height": 844})
                shoot(page, "listening_390")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                page.reload()  # a page that was closed has lost nothing
                page.fill("#listener", "Someone else")
                page.fill("#listener", listener)
                page.click("#listener-form button")
                until(page, "!document.getElementById('trial').hidden")
                assert page.evaluate("trial.answered.ratings[trial.answered.order[0]]") == 59
            order = []
            for n in range(3):
                order.append(page.evaluate("trial.answered.order"))
                rate_all(page, lambda name: min(kind[name], 99))
                assert "none with 100" in page.inner_text("#left")
                rate_all(page, kind.get)
                assert page.inner_text("#left") == "all rated"
                page.click("#next")
                until(page, f"state.place === {n + 1}")
                until(page, "!document.getElementById(state.place < 3 ? 'trial' : 'end').hidden")
            orders.append(order)
            with page.expect_download() as download:
                page.click("#save")
            assert download.value.suggested_filename == file_name
            download.value.save_as(answers / f"{listener}.json")
            assert errors == []
            page.close()
        assert orders[0] != orders[1]
        assert bench("listen", "heard", "--answers", str(answers)) == 0
        printed = capsys.readouterr().out
        assert "answers of 2 listeners taken in" in printed
        assert " 100.0  Hidden reference" in printed
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto((folder / "reports" / "index.html").as_uri())
        page.click("text=Heard")
        section = page.locator("#listening")
        assert "2 listeners rated the vocals" in section.inner_text()
        first_row = section.locator("tbody tr").first.inner_text().split("\t")
        assert first_row[0] == "Hidden reference"
        assert first_row[1].strip() == "100.0"
        assert "GNSDR" in section.inner_text()
        shoot(page, "report_with_listeners")
    report = folder / "reports" / "heard"
    assert problems(report, folder / "runs") == []
    assert "| Ideal &lt;i&gt;ratio&lt;/i&gt; mask | 90.0 |" in (report / "table.md").read_text()
    assert bench("report", "heard") == 0  # written again, it keeps what listeners said
    assert "2 listeners rated" in (report / "table.md").read_text()


#: The loudest sample of the signal that is heard, which the page's own volume lets through.
LOUDEST = """() => {
  const { buffer, gain } = trial.signals[trial.heard];
  const open = trial.voices.map(({ volume }) => volume.gain.value);
  const peak = buffer.getChannelData(0).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return peak * gain * (open[trial.heard] > 0);
}"""


def result(folder, ratings, stimuli):
    tables = tabulate(load_committed(folder / "reports" / "heard"))
    key = known_keys(folder / "runs", "heard")[0]
    tracks = [trial.track for trial in key.trials]
    facts = {"target": "vocals", "tracks": tracks, "stimuli": stimuli, "ratings": ratings}
    return listening_result(tables, {"listening": facts})


def test_means_intervals_and_screening_are_those_of_the_recommendation(folder):
    stimuli = [
        {"label": "Hidden reference", "kind": "reference"},
        {"label": "Anchor", "kind": "anchor"},
    ]
    stimuli += [{"label": "RPCA, soft", "kind": "unsupervised"}]
    deaf = [[80, 20, 99], [100, 20, 99], [100, 20, 99]]  # 1 of 3 trials below 90
    ratings = [[[100, 20, 40 + n]] * 3 for n in (0, 10, 20)]
    rated = result(folder, [*ratings, deaf], stimuli)
    assert (rated.n_listeners, rated.n_left_out) == (3, 1)
    (soft,) = [one for one in rated.stimuli if one.label == "RPCA, soft"]
    assert soft.mean == pytest.approx(50)
    assert soft.over_listeners == pytest.approx(4.302653 * 10 / np.sqrt(3), rel=1e-5)
    assert soft.over_tracks == pytest.approx(0)
    assert "1 more are left out: they rated the hidden reference below 90" in rated.sentence
    assert result(folder, [deaf], stimuli).n_listeners == 0


def test_a_measure_that_orders_rows_as_listeners_do_agrees_wholly(folder):
    tables = tabulate(load_committed(folder / "reports" / "heard"))
    tracks = [trial.track for trial in known_keys(folder / "runs", "heard")[0].trials]
    distance = {
        row: np.mean([table.on_track(track) for track in tracks])
        for (row, metric), table in tables.tracks["mr_stft", "vocals"].items()
    }
    stimuli = [{"label": "Hidden reference", "kind": "reference"}]
    stimuli += [{"label": row, "kind": "bound"} for row in ROWS]
    in_order = sorted(ROWS, key=lambda row: -distance[row])
    ratings = [[[100, *(10 + 20 * in_order.index(row) for row in ROWS)]] * 3]
    rated = result(folder, ratings, stimuli)
    assert rated.agreement["MR-STFT"] == pytest.approx(1)
    assert next(iter(rated.agreement)) in rated.agreement_sentence
