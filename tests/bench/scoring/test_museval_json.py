"""museval's JSON, written and read: scores that the field's other tools exchange."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile

from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.scoring import museval_json
from bench.scoring.aggregate import over_tracks
from bench.scoring.protocols import score_track
from bench.store.manifest import load_results
from bench.track import TARGETS, Track
from tests.command import bench

#: museval keeps five decimals.
DECIMALS = 0.5e-5

HOST = """\
title: Host
why: A test.
dataset: synthetic
protocols: [museval]
methods: [{method: mixture, label: Mixture}, {method: rpca, label: RPCA}]
"""


def noisy(track: Track, level: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(track.name))
    return {
        t: audio + level * audio.std() * rng.standard_normal(audio.shape)
        for t, audio in track.references.items()
    }


def write_estimates(root: Path) -> None:
    for track in Synthetic().tracks("test"):
        for target, audio in noisy(track, 0.3).items():
            (root / track.name).mkdir(parents=True, exist_ok=True)
            path = root / track.name / f"{target}.wav"
            soundfile.write(path, audio.T, track.rate, subtype="DOUBLE")


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for name in ("a", "b - c"):
        audio = {t: 0.1 * rng.standard_normal((2, 200_000)) for t in TARGETS}
        audio["vocals"][:, :88_200] = 0  # two silent windows
        track = Track(name, 44_100, audio)
        rows += score_track("museval", track, noisy(track, 0.2))
    return pd.DataFrame(rows)


def test_what_is_written_is_what_museval_reads(scores, tmp_path):
    museval = pytest.importorskip("museval")
    paths = museval_json.write(scores, tmp_path)
    assert [path.name for path in paths] == ["a.json", "b - c.json"]
    store = museval.EvalStore()
    store.add_eval_dir(tmp_path)
    theirs = store.agg_frames_scores()
    ours = scores.groupby(["track", "target", "metric"])["value"].median()
    for (track, target, metric), value in ours.items():
        assert theirs[track, target, metric.upper()] == pytest.approx(value, abs=DECIMALS)
    for path in paths:
        schema = Path(museval.__file__).parent / "musdb.schema.json"
        pytest.importorskip("jsonschema").validate(
            json.loads(path.read_text()), json.loads(schema.read_text())
        )


def test_a_track_whose_name_leads_elsewhere_is_refused(scores, tmp_path):
    outside = scores.assign(track=str(tmp_path / "outside"))
    with pytest.raises(BenchError, match="is no name of a file"):
        museval_json.write(outside, tmp_path / "scores")
    mixed = pd.concat([scores, outside])
    with pytest.raises(BenchError, match="nothing was written"):
        museval_json.write(mixed, tmp_path / "scores")
    assert not (tmp_path / "outside.json").exists()
    assert not (tmp_path / "scores").exists()


def test_what_is_read_is_what_was_written(scores, tmp_path):
    museval_json.write(scores, tmp_path)
    read = pd.DataFrame(museval_json.read_museval(tmp_path))
    keys = ["track", "target", "metric", "window"]
    pair = scores.merge(read, on=keys, suffixes=("", "_read"))
    assert len(pair) == len(scores) == len(read)
    assert np.array_equal(pair["value"].isna(), pair["value_read"].isna())
    assert pair["value"].isna().sum() == 2 * 2 * 2 * 4  # windows, targets, tracks, metrics
    assert (pair["value"] - pair["value_read"]).abs().max() <= DECIMALS


def test_infinite_scores_are_written_as_museval_writes_them(scores, tmp_path):
    museval_json.write(scores.assign(value=np.inf), tmp_path)
    assert pd.DataFrame(museval_json.read_museval(tmp_path))["value"].isna().all()


def test_a_submission_of_sisec_2018_is_read_to_the_medians_that_museval_gives(shared):
    museval = pytest.importorskip("museval")
    for name in ("RPCA", "UHL2"):
        folder = shared / "fixtures" / "sisec2018" / name
        store = museval.EvalStore()
        store.add_eval_dir(folder)
        theirs = store.agg_frames_tracks_scores()
        aggregated = over_tracks(pd.DataFrame(museval_json.read_museval(folder)))
        assert set(aggregated["n_tracks"]) == {5}
        for row in aggregated.to_dict("records"):
            expected = theirs[row["target"], row["metric"].upper()]
            assert row["value"] == pytest.approx(expected, abs=1e-9)


WRONG = {
    "no JSON": "{",
    "no targets": "{}",
    "no frames": '{"targets": [{"name": "vocals"}]}',
    "no voice": '{"targets": [{"name": "drums", "frames": []}]}',
    "words": '{"targets": [{"name": "vocals", "frames": [{"time": 0, "duration": 1, '
    '"metrics": {"SDR": "high", "SIR": 1, "ISR": 1, "SAR": 1}}]}]}',
    "other windows": '{"targets": [{"name": "vocals", "frames": [{"time": 0, "duration": 2, '
    '"metrics": {"SDR": 1, "SIR": 1, "ISR": 1, "SAR": 1}}]}]}',
    "a list": "[1, 2]",
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_museval_did_not_write_is_refused_in_one_line(tmp_path, case):
    (tmp_path / "song.json").write_text(WRONG[case])
    with pytest.raises(BenchError, match=r"song\.json") as caught:
        museval_json.read_museval(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BenchError, match=r"no scores: looked for"):
        museval_json.read_museval(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [b"a\x1b[2J.json", b"a\xff.json"])
def test_a_name_that_controls_a_terminal_or_is_no_text_is_refused(tmp_path, name):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("{}")
    with pytest.raises(BenchError, match=r"the name of a file of scores holds .*\\(x1b|udcff)"):
        museval_json.read_museval(tmp_path)


@pytest.mark.slow
def test_scores_go_out_by_score_and_come_back_by_import_beside_ours(workspace, capsys):
    Path("host.yaml").write_text(HOST)
    write_estimates(Path("theirs"))
    assert bench("run", "host.yaml", "--workers", "0") == 0
    words = ["score", "synthetic", "theirs", "--museval-json", "json", "--into", "host"]
    assert bench(*words, "--as", "Scored") == 0
    assert len(list(Path("json/test").glob("*.json"))) == 8
    assert bench("import", "json", "--as", "Imported", "--into", "host") == 0
    table = Path("reports/host/table.md").read_text()
    assert "Imported scores" in table
    assert "imported from museval's files, not scored here: 8 track(s)" in table
    assert "8 of 8 tracks are ours by name." in table
    scores = load_results(Path("runs"), "host").scores
    wide = scores.pivot_table(
        index=["track", "target", "metric", "window"], columns="row", values="value"
    )
    assert wide[["Scored", "Imported", "RPCA"]].notna().all().all()  # paired track by track
    assert (wide["Scored"] - wide["Imported"]).abs().max() <= DECIMALS
    rows = pd.read_csv("reports/host/rows.csv")
    kept = rows[rows["row"].isin(["Scored", "Imported"])]
    assert kept.groupby(["target", "metric"])["value"].apply(np.ptp).max() <= DECIMALS
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("host")
    (run,) = client.search_runs([experiment.experiment_id], "tags.method = 'imported'")
    assert run.data.tags["row"] == "Imported"
    capsys.readouterr()
    for words, message in [
        (["import", "json", "--as", "RPCA", "--into", "host"], "has a row 'RPCA' already"),
        (["import", "nowhere", "--as", "X"], "no scores: looked for"),
        (["import", "json", "--as", "X", "--into", "none"], "run it first"),
    ]:
        assert bench(*words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line


@pytest.mark.slow
def test_imported_scores_are_never_ranked_and_say_what_sets_them_apart(workspace, shared, capsys):
    Path("host.yaml").write_text(HOST.replace("[museval]", "[museval, bss_eval_v4]"))
    assert bench("run", "host.yaml", "--workers", "0") == 0
    for path in (shared / "fixtures" / "sisec2018" / "UHL2" / "test").glob("*.json"):
        Path("theirs").mkdir(exist_ok=True)
        Path(f"theirs/test_0{len(list(Path('theirs').iterdir()))}.json").write_bytes(
            path.read_bytes()
        )
    assert bench("import", "theirs", "--as", "UHL2", "--into", "host") == 0
    table = Path("reports/host/table.md").read_text()
    assert "5 of 8 tracks are ours by name. 5 of them are of another length here" in table
    lines = [line for line in table.splitlines() if line.startswith("| UHL2")]
    assert lines.pop() == "| UHL2 | imported | – |"
    assert len(lines) == 4
    assert all("**" not in line for line in lines)  # best of all, and not ranked
    numbers = [bool(re.search(r"\d\.\d\d", line)) for line in lines]
    assert numbers == [True, True, False, False]  # not scored by the other protocol
    assert bench("import", "theirs", "--as", "UHL2") == 0
    assert Path("reports/UHL2/rows.csv").is_file()
