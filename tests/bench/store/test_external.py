"""``bench score``: a stranger's system in the same tables."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile

from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.plan.cells import Cell
from bench.scoring.protocols import BssEvalV3, score_track
from bench.store.manifest import add_external
from bench.track import TARGETS, Track
from tests.command import bench

HOST = """\
title: Host
why: A test.
dataset: synthetic
methods: [{method: mixture, label: Mixture}]
"""


def write_folder(root: Path, name: str, audio, rate=8000, suffix=".wav"):
    for target, signal in audio.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        subtype = "PCM_24" if suffix == ".flac" else "DOUBLE"
        soundfile.write(root / name / f"{target}{suffix}", signal.T, rate, subtype=subtype)


def songs():
    rng = np.random.default_rng(0)
    for name, n in (("one", 9000), ("two two", 17_000)):
        audio = {t: 0.1 * rng.standard_normal((2, n)) for t in TARGETS}
        estimate = {t: a + 0.03 * rng.standard_normal(a.shape) for t, a in audio.items()}
        yield name, audio, estimate


@pytest.fixture
def folders(bare_workspace):
    for name, audio, estimate in songs():
        write_folder(Path("references"), name, audio)
        write_folder(Path("my system"), name, estimate)
    return bare_workspace


def test_files_are_scored_as_arrays_are_and_the_tidy_table_is_written(folders, capsys):
    words = ["--protocol", "bss_eval_v4", "--protocol", "bss_eval_v3"]
    assert bench("score", "references", "my system", *words) == 0
    assert "my system" in capsys.readouterr().out
    table = pd.read_parquet("reports/my-system/scores.parquet")
    for name, audio, estimate in songs():
        track = Track(name, 8000, audio)
        for protocol in ("bss_eval_v3", "bss_eval_v4"):
            expected = pd.DataFrame(score_track(protocol, track, estimate))
            track_rows = table[(table["track"] == name) & (table["protocol"] == protocol)]
            assert (
                np.abs(track_rows["value"].to_numpy() - expected["value"].to_numpy()).max() < 1e-9
            )
    rows = pd.read_csv("reports/my-system/rows.csv")
    assert set(rows["metric"]) == {"gnsdr", "gsir", "gsar", "sdr", "isr", "sir", "sar"}
    assert not Path("mlflow.db").exists()


def test_flac_is_read_and_a_name_given(folders):
    shutil.rmtree("my system")
    for name, _, estimate in songs():
        write_folder(Path("flac"), name, estimate, suffix=".flac")
    assert bench("score", "references", "flac", "--as", "Theirs", "--record") == 0
    assert "| Theirs |" in Path("reports/Theirs/table.md").read_text()
    store = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folders / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("Theirs")
    query = "tags.method = 'elsewhere'"
    (run,) = store.search_runs([experiment.experiment_id], query)
    assert run.data.metrics["vocals/gsir"] > 0


def test_a_folder_whose_name_begins_with_an_underscore_gets_a_report(folders):
    Path("my system").rename("_mine")
    assert bench("score", "references", "_mine") == 0
    assert "| \\_mine |" in Path("reports/mine/table.md").read_text()


def test_a_row_without_a_name_is_refused_before_anything_is_scored(folders, capsys):
    before = sorted(folders.rglob("*"))
    assert bench("score", "references", "my system", "--as", " ") == 2
    assert capsys.readouterr().err == "bench: the row's name is empty; give it one by --as\n"
    assert sorted(folders.rglob("*")) == before


def test_a_guest_stands_in_the_tables_of_an_experiment_and_stays(workspace, capsys):
    Path("host.yaml").write_text(HOST)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    rng = np.random.default_rng(0)
    for track in Synthetic().tracks("test"):
        noisy = {t: r + 1e-3 * rng.standard_normal(r.shape) for t, r in track.references.items()}
        write_folder(Path("guest"), track.name, noisy, track.rate)
    assert bench("score", "synthetic", "guest", "--as", "Guest", "--into", "host") == 0
    table = Path("reports/host/table.md").read_text()
    assert "| *Made elsewhere* |" in table
    assert "| Guest | **" in table
    capsys.readouterr()
    assert bench("run", "host.yaml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 cells: 0 computed, 1 reused, 0 failed"
    assert "| Guest | **" in Path("reports/host/table.md").read_text()
    store = mlflow.MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("host")
    runs = store.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    assert sorted(run.data.tags["row"] for run in runs) == ["Guest", "Mixture"]
    assert bench("score", "synthetic", "guest", "--as", "Mixture", "--into", "host") == 2
    assert "has a row 'Mixture' already" in capsys.readouterr().err
    Path("host.yaml").write_text(HOST.replace("label: Mixture}", "label: Guest}"))
    assert bench("run", "host.yaml") == 2
    assert "row 'Guest' has the label of scores that were added" in capsys.readouterr().err


def test_a_row_that_was_added_is_taken_out_of_the_tables_and_its_scores_stay(workspace, capsys):
    Path("host.yaml").write_text(HOST)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    before = Path("reports/host/rows.csv").read_text()
    references = {track.name: track.references for track in Synthetic().tracks("test")}
    rng = np.random.default_rng(0)
    for label in ("First guest", "Second guest"):
        for name, audio in references.items():
            noisy = {t: a + 0.1 * rng.standard_normal(a.shape) for t, a in audio.items()}
            write_folder(Path(label), name, noisy, rate=16_000)
        assert bench("score", "synthetic", label, "--into", "host") == 0
    folders = sorted(Path("runs").glob("*"))
    assert bench("report", "host", "--remove", "First guest") == 0
    rows = pd.read_csv("reports/host/rows.csv")
    assert sorted(set(rows["row"])) == ["Mixture", "Second guest"]
    capsys.readouterr()
    assert bench("report", "host", "--remove", "second guest") == 2
    assert capsys.readouterr().err == (
        "bench: experiment 'host' has no row 'second guest' from bench score or bench import; "
        "did you mean 'Second guest'?\n"
    )
    assert bench("report", "host", "--remove", "Second guest") == 0
    assert Path("reports/host/rows.csv").read_text() == before
    assert sorted(Path("runs").glob("*")) == folders
    store = mlflow.MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("host")
    runs = store.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    places = {run.data.tags["row"]: run.data.metrics["place"] for run in runs}
    assert places == {"Mixture": 1, "First guest": 2, "Second guest": 2}
    assert bench("report", "host", "--remove", "Mixture") == 2
    assert "it has none" in capsys.readouterr().err
    assert bench("report", "host", "--remove", "Mixture", "--check") == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_a_guest_that_another_version_of_a_protocol_scored_is_not_shown(workspace, monkeypatch):
    Path("host.yaml").write_text(HOST)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    for track in Synthetic().tracks("test"):
        write_folder(Path("guest"), track.name, track.references, track.rate)
    assert bench("score", "synthetic", "guest", "--as", "Guest", "--into", "host") == 0
    monkeypatch.setattr(BssEvalV3, "version", 99)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    table = Path("reports/host/table.md").read_text()
    assert "| Guest | missing" in table
    assert "Guest has no scores of this version of the protocol" in table
    assert bench("score", "synthetic", "guest", "--as", "Guest", "--into", "host") == 0
    assert "| Guest | **" in Path("reports/host/table.md").read_text()


def test_damaged_guests_are_named_and_stay_as_they_are(workspace, capsys):
    Path("host.yaml").write_text(HOST)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    path = Path("runs/experiments/host.json")
    nameless = Cell("", "elsewhere", "elsewhere", 1, {}, None, "synthetic", {"test": "d"}, {})
    nameless = nameless.to_json() | {"protocols": {"bss_eval_v3": 1}}
    for guests in ([{"row": "Guest"}], [1], None, [nameless]):
        text = json.dumps(json.loads(path.read_text()) | {"guests": guests})
        path.write_text(text)
        assert bench("run", "host.yaml", "--workers", "0") == 2
        assert "the external scores in it are damaged; remove the file" in capsys.readouterr().err
        assert path.read_text() == text
    for text in ('{"guests": [', "[]", ""):
        path.write_text(text)
        for command in (["run", "host.yaml", "--workers", "0"], ["report", "host"]):
            assert bench(*command) == 2
            err = capsys.readouterr().err
            assert "host.json is damaged or cannot be read, and it may hold external scores" in err
            assert err.count("\n") == 1
        with pytest.raises(BenchError, match="cannot be read"):
            add_external(Path("runs"), "host", Cell.from_json(nameless))
        assert path.read_text() == text


def test_files_are_scored_into_an_experiment_that_scores_pitch_too(workspace):
    protocols = "protocols: [melody, bss_eval_v3]\nfigure: {}"
    text = HOST.replace("dataset: synthetic", f"dataset: synthetic\n{protocols}")
    text = text.replace("method: mixture", "method: pitch_oracle")
    Path("host.yaml").write_text(text)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    for track in Synthetic().tracks("test"):
        write_folder(Path("guest"), track.name, track.references, track.rate)
    assert bench("score", "synthetic", "guest", "--as", "Guest", "--into", "host") == 0
    assert "| Guest | **" in Path("reports/host/table.md").read_text()


def test_two_commands_that_score_the_same_files_do_not_write_at_once(folders, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("bench.store.external.claimed", lambda folder: nullcontext(None))
        assert bench("score", "references", "my system", "--as", "Ours") == 2
    assert "another process writes" in capsys.readouterr().err
    assert bench("score", "references", "my system", "--as", "Ours") == 0


def no_track(root):
    shutil.rmtree(root / "my system" / "one")


def no_target(root):
    (root / "my system" / "one" / "vocals.wav").unlink()


def twice(root):
    shutil.copy(root / "my system" / "one" / "vocals.wav", root / "my system/one/vocals.flac")


def no_audio(root):
    (root / "my system" / "two two" / "vocals.wav").write_text("no audio")


def other_rate(root):
    path = root / "my system" / "two two" / "vocals.wav"
    soundfile.write(path, np.ones((17_000, 2)), 9000)


def mono(root):
    path = root / "my system" / "two two" / "vocals.wav"
    soundfile.write(path, np.ones(17_000), 8000)


def nan(root):
    path = root / "my system" / "two two" / "vocals.wav"
    soundfile.write(path, np.full((17_000, 2), np.nan), 8000, subtype="FLOAT")


def short(root):
    path = root / "my system" / "two two" / "vocals.wav"
    soundfile.write(path, np.ones((13_000, 2)), 8000)


def no_references(root):
    shutil.rmtree(root / "references")


def linked_report(root):
    (root / "reports").mkdir()
    (root / "reports" / "my-system").symlink_to(root / "references")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (linked_report, "reports/my-system is a link"),
        (no_track, "no WAV or FLAC of vocals in my system/one"),
        (no_target, "no WAV or FLAC of vocals in my system/one"),
        (twice, "both a WAV and a FLAC of vocals in my system/one"),
        (no_audio, "vocals.wav cannot be read"),
        (other_rate, "has 9000 Hz and its reference 8000 Hz"),
        (mono, "the estimate of vocals of track 'two two' has shape (1, 17000), not (2, samples)"),
        (nan, "the estimate of vocals of track 'two two' has samples that are NaN"),
        (short, "vocals in my system/two two is 0.5 s shorter than its reference of 2.12 s"),
        (
            no_references,
            "no references 'references': neither a folder of tracks nor a corpus; known: ",
        ),
    ],
)
def test_files_that_cannot_be_scored_are_refused_in_one_line_with_nothing_written(
    folders, capsys, damage, message
):
    damage(folders)
    before = sorted(folders.rglob("*"))
    assert bench("score", "references", "my system") == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert sorted(folders.rglob("*")) == before


def test_control_characters_in_names_are_refused_with_nothing_written(folders, capsys):
    before = sorted(folders.rglob("*"))
    assert bench("score", "references", "my system", "--as", "ours\x1b[31m") == 2
    assert "the row's name holds the control character '\\x1b'" in capsys.readouterr().err
    assert sorted(folders.rglob("*")) == before
    write_folder(Path("references"), "a\nb", {t: np.ones((1, 9000)) for t in TARGETS})
    assert bench("score", "references", "my system") == 2
    assert "the folder 'a\\nb' in references holds the control" in capsys.readouterr().err


def test_another_length_is_allowed_by_name_and_the_row_says_so(folders, capsys):
    short(folders)
    assert bench("score", "references", "my system", "--any-length") == 0
    text = Path("reports/my-system/table.md").read_text()
    assert "1 of 2 tracks have estimates of another length, which were filled" in text
    for target in TARGETS:  # within a few samples nothing is said
        path = folders / "my system" / "two two" / f"{target}.wav"
        soundfile.write(path, np.random.default_rng(0).standard_normal((17_004, 2)), 8000)
    assert bench("score", "references", "my system", "--as", "Nearly") == 0
    assert "another length" not in Path("reports/Nearly/table.md").read_text()


def test_folders_of_estimates_that_match_no_track_are_named(folders, capsys):
    shutil.copytree("my system/one", "my system/unknown")
    assert bench("score", "references", "my system") == 0
    err = capsys.readouterr().err
    assert err == (
        "bench: 1 folder(s) in my system match no track of the references and are not scored: "
        "unknown\n"
    )


def test_a_guest_of_other_references_or_of_no_experiment_is_refused(folders, capsys):
    assert bench("score", "references", "my system", "--into", "host") == 2
    assert "run it first" in capsys.readouterr().err
    Path("host.yaml").write_text(HOST)
    assert bench("run", "host.yaml", "--workers", "0") == 0
    capsys.readouterr()
    assert bench("score", "references", "my system", "--into", "host") == 2
    assert "score against it: bench score synthetic" in capsys.readouterr().err
    assert bench("score", "references", "my system", "--protocol", "bss_eval") == 2
    assert "no scoring protocol 'bss_eval'" in capsys.readouterr().err
