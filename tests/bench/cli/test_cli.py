"""The whole way, as a user goes it: an experiment file in, a table and MLflow runs out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from bench.runner import cell
from bench.tracking import tracker
from tests.command import bench, run_in

TINY = """\
title: Tiny
why: A test.
dataset: synthetic
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ratio}
  - {method: nmf, label: NMF, fixed: {atoms: 3, iterations: 10}}
  - method: drnn
    label: "DRNN γ={gamma}"
    fixed: {hidden: 12, layers: 2, recurrent: 2, epochs: 2}
    sweep: {gamma: [0, 0.1]}
    published: {vocals: {gnsdr: 7.27}}
"""
LAST_LINE = "5 cells: {} computed, {} reused, {} failed"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, empty_store) -> Path:
    """A working directory in which the tiny experiment was run once, in this process."""
    folder = tmp_path_factory.mktemp("finished")
    return run_in(folder, "experiments/tiny.yaml", TINY, empty_store)


@pytest.fixture
def copy(finished, workspace) -> Path:
    """A copy of it to change."""
    shutil.copytree(finished, workspace, dirs_exist_ok=True)
    return workspace


def client(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def runs(folder: Path, kind: str, name: str = "tiny"):
    store = client(folder)
    experiment = store.get_experiment_by_name(name)
    return store.search_runs([experiment.experiment_id], f"tags.`bench.kind` = '{kind}'")


def test_the_report_has_a_row_a_method_with_numbers_for_both_targets(finished):
    rows = pd.read_csv(finished / "reports" / "tiny" / "rows.csv")
    labels = ["Mixture", "Ratio", "NMF", "DRNN γ=0", "DRNN γ=0.1"]
    assert sorted(rows["row"].unique()) == sorted(labels)
    assert set(rows["target"]) == {"vocals", "accompaniment"}
    assert (rows["n_tracks"] == 8).all()
    ratio = rows.query("row == 'Ratio' and metric == 'gnsdr'")["value"]
    assert (ratio > 10).all()
    assert (rows.query("row == 'Mixture' and metric == 'gnsdr'")["value"] == 0).all()
    published = rows.query("row == 'DRNN γ=0' and target == 'vocals' and metric == 'gnsdr'")
    assert published["published"].item() == 7.27


def test_a_second_run_computes_nothing_and_does_not_touch_mlflow(copy, capsys, monkeypatch):
    monkeypatch.setattr(cell, "run_cell", None)
    monkeypatch.setattr(tracker, "Tracker", None)
    before = (copy / "reports" / "tiny" / "scores.parquet").read_bytes()
    assert bench("run", "experiments/tiny.yaml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == LAST_LINE.format(0, 5, 0)
    assert (copy / "reports" / "tiny" / "scores.parquet").read_bytes() == before


def test_a_changed_hyperparameter_computes_only_its_own_cells(copy, capsys):
    words = ["-o", "methods[2].fixed.atoms=2", "--workers", "0"]
    assert bench("run", "experiments/tiny.yaml", "--dry-run", *words) == 0
    out = capsys.readouterr().out
    assert "5 cells: 1 to compute, 4 reused" in out
    assert "NMF, seed 0: to compute: never begun" in out
    assert bench("run", "experiments/tiny.yaml", *words) == 2
    assert "would replace its report; name the change: -o name=tiny_2" in capsys.readouterr().err
    words += ["-o", "name=tiny"]
    assert bench("run", "experiments/tiny.yaml", *words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == LAST_LINE.format(1, 4, 0)
    told = Path("reports/tiny/table.md").read_text()
    assert "Run with changes of its file: -o methods\\[2\\].fixed.atoms=2" in told
    assert bench("run", "experiments/tiny.yaml") == 0
    assert "it is now run as its file states it" in capsys.readouterr().out
    assert "Run with changes" not in Path("reports/tiny/table.md").read_text()


def test_a_dry_run_of_a_new_experiment_leaves_nothing(bare_workspace, capsys):
    Path("tiny.yaml").write_text(TINY)
    assert bench("run", "tiny.yaml", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 cells: 5 to compute, 0 reused"
    assert [p.name for p in bare_workspace.iterdir()] == ["tiny.yaml"]


def test_a_dry_run_refuses_what_the_run_would_refuse(bare_workspace, capsys):
    Path("tiny.yaml").write_text(TINY)
    for words in (["--device", "tpu"], ["--trainer", "devices"], ["--trainer", "num_nodes=2"]):
        messages = []
        for dry in ([], ["--dry-run"]):
            assert bench("run", "tiny.yaml", *words, *dry) == 2
            messages.append(capsys.readouterr().err)
        assert messages[0] == messages[1] != ""


def test_a_report_is_written_again_from_the_cells_without_mlflow(copy, capsys):
    (copy / "mlflow.db").unlink()
    report = copy / "reports" / "tiny"
    first = {p.name: p.read_bytes() for p in report.rglob("*") if p.is_file()}
    shutil.rmtree(copy / "reports")
    assert bench("report", "tiny") == 0
    assert "NMF" in capsys.readouterr().out
    again = {p.name: p.read_bytes() for p in report.rglob("*") if p.is_file()}
    for part in (first, again):
        part.pop("provenance.json")  # it holds the time
    assert first == again


def test_a_report_of_what_was_never_run_is_refused(workspace, capsys):
    assert bench("report", "nothing") == 2
    assert "run it first: bench run" in capsys.readouterr().err


def test_a_cell_that_fails_is_shown_as_such_and_ends_no_other(workspace, capsys, monkeypatch):
    Path("broken.py").write_text(
        "from bench.methods.separator import Separator, separator\n\n"
        "@separator\n"
        "class Broken(Separator):\n"
        "    '''Fails.'''\n"
        "    def separate(self, mixture, rate):\n"
        "        raise RuntimeError('no luck')\n"
    )
    monkeypatch.syspath_prepend(str(workspace))
    text = TINY.split("  - {method: nmf")[0] + "  - {method: 'broken:Broken', label: Broken}\n"
    Path("half.yaml").write_text(text)
    assert bench("run", "half.yaml", "--workers", "0") == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "3 cells: 2 computed, 0 reused, 1 failed"
    reason = "broken:Broken.separate raised RuntimeError: no luck (broken.py, line 7)"
    assert f"Broken: failed: {reason}" in out
    assert "see why cells failed: bench status half --traceback" in out
    assert "| Broken | failed |" in (workspace / "reports" / "half" / "table.md").read_text()
    (failed,) = [r for r in runs(workspace, "cell", "half") if r.data.tags["row"] == "Broken"]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["error"] == reason
    assert bench("run", "half.yaml", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 cells: 0 to compute, 2 reused, 1 failed before"
    assert f"Broken: left alone: failed before: {reason}" in lines[-2]
    assert bench("run", "half.yaml", "--dry-run", "--retry-failed") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 cells: 1 to compute, 2 reused"
    assert "Broken: to compute: failed before" in lines[-2]
    assert bench("run", "half.yaml", "--workers", "0") == 1
    out = capsys.readouterr().out
    assert "1 failed before and were not tried again: --retry-failed" in out
    assert out.splitlines()[-1] == "3 cells: 0 computed, 2 reused, 1 failed"
    assert bench("status", "half", "--traceback") == 0
    out = capsys.readouterr().out
    assert f"Broken: failed: {reason}" in out
    assert "Traceback (most recent call last):" in out
    assert out.splitlines()[-1] == "3 cells: 2 done, 0 running, 1 failed, 0 planned"
    monkeypatch.setattr(sys.modules["broken"].Broken, "separate", halves)
    assert bench("run", "half.yaml", "--workers", "0", "--retry-failed") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 cells: 1 computed, 2 reused, 0 failed"
    (run,) = [r for r in runs(workspace, "cell", "half") if r.data.tags["row"] == "Broken"]
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags


def halves(method, mixture, rate):
    return {"vocals": mixture / 2, "accompaniment": mixture / 2}


def test_mlflow_has_a_parent_and_a_child_a_cell_with_all_that_teams_filter_by(finished):
    (parent,) = runs(finished, "experiment")
    children = {run.data.tags["row"]: run for run in runs(finished, "cell")}
    assert len(children) == 5
    run = children["DRNN γ=0.1"]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.info.status == parent.info.status == "FINISHED"
    wanted = {
        "dataset": "synthetic",
        "method": "drnn",
        "seed": "0",
        "protocol": "bss_eval_v3",
        "group": "supervised",
    }
    assert {key: run.data.tags[key] for key in wanted} == wanted
    assert {"split_digest", "commit", "fingerprint"} <= run.data.tags.keys()
    assert run.data.params["gamma"] == "0.1"
    assert run.data.params["hidden"] == "12"
    assert {d.dataset.name for d in run.inputs.dataset_inputs} == {
        "synthetic-train",
        "synthetic-dev",
        "synthetic-test",
    }
    assert children["Mixture"].data.tags["seed"] == "none"


def test_mlflow_has_the_numbers_of_the_report_and_the_curves(finished):
    rows = pd.read_csv(finished / "reports" / "tiny" / "rows.csv")
    store = client(finished)
    for run in runs(finished, "cell"):
        run_rows = rows[rows["row"] == run.data.tags["row"]]
        for row in run_rows.itertuples():
            logged = run.data.metrics.get(f"{row.target}/{row.metric}")
            if np.isfinite(row.value):
                assert logged == pytest.approx(row.value, rel=1e-12)
            else:
                assert logged is None  # infinity would come back as 1.8e308
        assert all(np.isfinite(value) for value in run.data.metrics.values())
        if run.data.tags["method"] == "drnn":
            for key in ("train/loss", "dev/snri"):
                history = store.get_metric_history(run.info.run_id, key)
                assert [point.step for point in history] == [1, 2]


def test_mlflow_has_the_table_of_tracks_and_the_provenance_beside_the_database(finished):
    (run,) = [r for r in runs(finished, "cell") if r.data.tags["row"] == "NMF"]
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert folder.is_relative_to(finished / "mlartifacts")
    table = json.loads((folder / "scores" / "bss_eval_v3.json").read_text())
    assert len(table["data"]) == 8 * 2 * 4
    assert "commit" in json.loads((folder / "provenance.json").read_text())


def test_an_empty_store_is_filled_again_from_the_folders(finished, copy, capsys):
    before = {r.data.tags["row"]: r.data.metrics for r in runs(finished, "cell")}
    (copy / "mlflow.db").unlink()
    assert bench("run", "experiments/tiny.yaml") == 0
    assert capsys.readouterr().out.splitlines()[-1] == LAST_LINE.format(0, 5, 0)
    again = {r.data.tags["row"]: r.data.metrics for r in runs(copy, "cell")}
    assert again == before


def test_a_store_that_another_experiment_made_anew_is_filled_too(finished, workspace, capsys):
    shutil.copytree(finished, workspace, dirs_exist_ok=True)
    (workspace / "mlflow.db").unlink()
    Path("other.yaml").write_text(TINY.split("  - {method: ideal")[0])
    assert bench("run", "other.yaml", "--workers", "0") == 0
    assert bench("run", "experiments/tiny.yaml") == 0
    assert len(runs(workspace, "cell")) == 5
    assert len(runs(workspace, "cell", "other")) == 1


def test_a_row_that_was_renamed_is_renamed_in_mlflow(copy):
    text = Path("experiments/tiny.yaml").read_text().replace("label: NMF", "label: Renamed")
    Path("experiments/tiny.yaml").write_text(text)
    assert bench("run", "experiments/tiny.yaml") == 0
    rows = [run.data.tags["row"] for run in runs(copy, "cell")]
    assert "Renamed" in rows
    assert "NMF" not in rows


def test_no_password_of_a_store_is_shown_or_kept(copy, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:hunter5719@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert bench("run", "experiments/tiny.yaml") == 0
    out, err = capsys.readouterr()
    assert "MLflow at http://127.0.0.1:9 failed (" in err
    assert "hunter5719" not in out + err
    files = [path for path in copy.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter5719" in path.read_bytes()]


DEADLY = """\
import os, signal
from bench.methods.separator import Separator, separator


@separator
class Deadly(Separator):
    def separate(self, mixture, rate):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_own_cell_and_no_other(workspace, capsys, monkeypatch):
    Path("deadly.py").write_text(DEADLY)
    lines = [
        "  - {method: 'deadly:Deadly', label: Deadly}\n",
        "  - {method: nmf, label: NMF, fixed: {atoms: 2, iterations: 5}}\n",
    ]
    Path("half.yaml").write_text(TINY.split("  - {method: nmf")[0] + "".join(lines))
    monkeypatch.syspath_prepend(str(workspace))
    monkeypatch.setenv("PYTHONPATH", str(workspace))
    assert bench("run", "half.yaml", "--workers", "2") == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "4 cells: 3 computed, 0 reused, 1 failed"
    assert "Deadly: failed: its worker process was ended" in out
    assert "| Deadly | failed |" in Path("reports/half/table.md").read_text()


MASKS = """\
title: Masks
why: One training.
dataset: synthetic
methods:
  - method: drnn
    label: DNN {test_mask}
    fixed: {hidden: 12, layers: 2, recurrent: none, epochs: 2, mask: none}
    sweep: {test_mask: [binary, none, abs]}
table: {targets: [vocals]}
figure: {}
"""


def test_rows_that_differ_in_separation_alone_train_once(workspace, capsys):
    Path("masks.yaml").write_text(MASKS)
    assert bench("run", "masks.yaml", "--workers", "0") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 cells: 3 computed, 0 reused, 0 failed"
    assert len(list(workspace.glob("runs/*/fit"))) == 1
    rows = pd.read_csv("reports/masks/rows.csv").query("metric == 'gnsdr'")
    assert rows["value"].nunique() == 3
    provenance = json.loads(Path("reports/masks/provenance.json").read_text())
    trained = [cell["scores"]["bss_eval_v3"]["fit"]["fit_s"] for cell in provenance["cells"]]
    assert len(set(trained)) == 1
    assert Path("reports/masks/figure.svg").is_file()
    assert bench("run", "masks.yaml", "--workers", "0") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 cells: 0 computed, 3 reused, 0 failed"


def test_a_reports_folder_that_cannot_be_written_is_refused_before_any_work(workspace, capsys):
    Path("tiny.yaml").write_text(TINY)
    Path("reports").write_text("in the way")
    assert bench("run", "tiny.yaml", "--workers", "0") == 2
    assert "nothing was run" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_worker_has_the_threads_that_were_asked_for(workspace, monkeypatch):
    Path("counted.py").write_text(
        "import torch\n"
        "from pathlib import Path\n"
        "from bench.methods.separator import Separator, separator\n\n"
        "@separator\n"
        "class Counted(Separator):\n"
        "    '''Notes its threads.'''\n"
        "    def separate(self, mixture, rate):\n"
        "        Path('threads').write_text(str(torch.get_num_threads()))\n"
        "        return {'vocals': mixture / 2, 'accompaniment': mixture / 2}\n"
    )
    monkeypatch.syspath_prepend(str(workspace))
    text = TINY.split("  - {method: nmf")[0] + "  - {method: 'counted:Counted', label: Counted}\n"
    Path("counted.yaml").write_text(text)
    try:
        assert bench("run", "counted.yaml", "--workers", "0", "--threads", "2") == 0
    finally:
        torch.set_num_threads(1)
    assert Path("threads").read_text() == "2"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused_before_any_work(workspace, capsys):
    Path("tiny.yaml").write_text(TINY)
    assert bench("run", "tiny.yaml", "--workers", "0", "--device", "cuda") == 2
    err = capsys.readouterr().err
    assert "PyTorch finds no CUDA device on" in err
    assert "use --device cpu" in err
    assert err.count("\n") == 1
    assert not list(Path("runs").glob("*/cell.json"))


def test_a_device_that_has_no_such_name_is_refused_by_separate_too(workspace, capsys):
    soundfile.write("song.wav", np.zeros((8_000, 1)), 16_000)
    assert bench("separate", "song.wav", "--with", "rpca", "--device", "gpu") == 2
    assert "no device 'gpu'; known: auto, cpu, cuda" in capsys.readouterr().err


def test_runs_may_be_a_link_and_a_reports_folder_may_not(workspace, tmp_path_factory, capsys):
    elsewhere = tmp_path_factory.mktemp("disk")
    Path("tiny.yaml").write_text(TINY.split("  - {method: ideal")[0])
    Path("runs").symlink_to(elsewhere)
    Path("reports").mkdir()
    Path("reports/tiny").symlink_to(elsewhere)
    assert bench("run", "tiny.yaml", "--workers", "0") == 2
    assert "reports/tiny is a link" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []
    Path("reports/tiny").unlink()
    assert bench("run", "tiny.yaml", "--workers", "0") == 0
    assert list(elsewhere.glob("*/scores/*.parquet"))


def test_another_store_is_used_where_the_environment_names_one(copy, monkeypatch, capsys):
    uri = f"sqlite:///{copy / 'elsewhere.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert bench("run", "experiments/tiny.yaml") == 0
    store = mlflow.MlflowClient(tracking_uri=uri)
    experiment = store.get_experiment_by_name("tiny")
    assert len(store.search_runs([experiment.experiment_id])) == 6


MIR1K = TINY.replace("synthetic", "mir1k")


def corpus(root: Path) -> Path:
    folder = root / "data" / "MIR-1K" / "Wavfile"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("amy_1_01", "amy_1_02", "amy_9_08", "Ani_1_01"):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal((16_000, 2)), 16_000)
    return folder


def silence(path):
    soundfile.write(path, np.outer(np.hanning(16_000), [0.5, 0]), 16_000)


def nan(path):
    audio = np.ones((16_000, 2)) / 2
    audio[5] = np.nan
    soundfile.write(path, audio, 16_000, subtype="FLOAT")


def cut(path):
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("Ani_1_01", cut, "Ani_1_01.wav is cut short"),
        ("amy_1_02", silence, "vocals of track 'amy_1_02' is silent"),
        ("amy_9_08", nan, "NaN or infinite"),
        (None, None, "no test clips: looked for"),
    ],
)
def test_a_damaged_corpus_is_refused_in_one_line_with_nothing_written(
    workspace, capsys, name, damage, message
):
    Path("first.yaml").write_text(MIR1K)
    if name is None:
        Path("data").mkdir()
    else:
        damage(corpus(workspace) / f"{name}.wav")
    before = sorted(workspace.rglob("*"))
    assert bench("run", "first.yaml", "--data", "data") == 2
    err = capsys.readouterr().err
    assert err.startswith("bench: ")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(workspace.rglob("*")) == before


def test_the_folder_of_the_corpora_may_come_from_the_environment(workspace, monkeypatch, capsys):
    corpus(workspace)
    monkeypatch.setenv("BENCH_DATA", str(workspace / "data"))
    Path("first.yaml").write_text(MIR1K)
    assert bench("run", "first.yaml", "--dry-run") == 0
    assert "5 cells: 5 to compute" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "none.yaml"], "no experiment file none.yaml"),
        (["run", "tiny.yaml", "-o", "sedes=1"], "unknown key 'sedes'; did you mean 'seeds'?"),
        (["run", "tiny.yaml", "--device", "gpu"], "no device 'gpu'"),
        (["list", "method"], "did you mean 'methods'?"),
        (["score", "syntetic", "theirs", "--as", "Theirs"], "did you mean 'synthetic'?"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(bare_workspace, capsys, words, message):
    Path("tiny.yaml").write_text(TINY)
    assert bench(*words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert [p.name for p in bare_workspace.iterdir()] == ["tiny.yaml"]


def test_an_experiment_may_be_named_without_its_file(copy, capsys):
    assert bench("run", "tiny", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 cells: 0 to compute, 5 reused"
    assert bench("run", "tinny") == 2
    err = capsys.readouterr().err
    assert err == "bench: no experiment 'tinny' in experiments/; did you mean 'tiny'?\n"
    for command in ("status", "report", "track", "listen"):
        assert bench(command, "tinny") == 2
        assert capsys.readouterr().err == "bench: no experiment 'tinny'; did you mean 'tiny'?\n"
    Path("other.yaml").write_text(TINY + "name: another\n")
    assert bench("status", "other.yaml") == 2
    assert "nothing is tracked of an experiment 'another'" in capsys.readouterr().err
    for words in (["reproduce", "tinny"], ["run", "tiny", "--reuse", "reports/tinny"]):
        assert bench(*words) == 2
        err = capsys.readouterr().err
        assert err == "bench: no report 'tinny' in reports; did you mean 'tiny'?\n"


def test_lists_name_what_files_may_name(copy, capsys):
    assert bench("list") == 0
    out = capsys.readouterr().out
    for word in ("tiny ", "Tiny", "drnn", "rpca", "mir1k", "synthetic"):
        assert word in out
    assert bench("list", "datasets") == 0
    assert "rpca" not in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    assert bench("--version") == 0
    assert capsys.readouterr().out.startswith("bench 0.")


def test_a_tracking_store_that_stops_answering_costs_no_work_and_catches_up(
    workspace, capsys, monkeypatch
):
    Path("tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:

        def away(*_, **__):
            raise mlflow.exceptions.MlflowException("connection refused")

        patch.setattr(mlflow.MlflowClient, "log_batch", away)
        assert bench("run", "tiny.yaml", "--workers", "0") == 0
    out = capsys.readouterr()
    assert out.out.splitlines()[-1] == LAST_LINE.format(5, 0, 0)
    assert "connection refused" in out.err
    assert "no result is lost" in out.err
    assert bench("run", "tiny.yaml") == 0
    out = capsys.readouterr()
    assert out.out.splitlines()[-1] == LAST_LINE.format(0, 5, 0)
    assert out.err == ""
    cells = runs(workspace, "cell")
    assert len(cells) == 5
    assert all("vocals/gsir" in run.data.metrics for run in cells)
    assert {run.info.status for run in cells} == {"FINISHED"}


def test_a_tracking_store_that_cannot_be_reached_is_refused_before_any_work(
    workspace, capsys, monkeypatch
):
    Path("tiny.yaml").write_text(TINY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/no/such/folder/mlflow.db")
    Path("no").write_text("a file where the folder should be")
    assert bench("run", "tiny.yaml", "--workers", "0") == 2
    err = capsys.readouterr().err
    assert "MLflow cannot be used at" in err
    assert "nothing was run" in err
    assert not list(Path("runs").glob("*/cell.json"))


OWN = """from bench.methods.separator import Separator, separator


@separator
class Halves(Separator):
    def separate(self, mixture, rate):
        return {"vocals": 0.5 * mixture, "accompaniment": 0.5 * mixture}
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_method_in_the_working_directory_is_found(workspace, capsys, workers):
    Path(f"own_{workers}.py").write_text(OWN)
    text = TINY.replace("method: mixture", f'method: "own_{workers}:Halves"').split("  - ")
    Path("own.yaml").write_text("  - ".join(text[:2]))
    assert bench("run", "own.yaml", "--workers", workers, "-o", "table.targets=[vocals]") == 0
    assert "1 cells: 1 computed" in capsys.readouterr().out
    Path("own.yaml").write_text("  - ".join(text[:2]).replace(f"own_{workers}", "gone"))
    assert bench("run", "own.yaml", "-o", "name=gone") == 2
    assert capsys.readouterr().err.endswith(
        "method 'gone:Halves': there is no module gone: put gone.py into the folder in which bench "
        "is run, or install its package\n"
    )


@pytest.mark.parametrize("words", [["list"], ["list", "drnn"], ["status", "tiny"], ["run", "tiny"]])
def test_commands_that_compute_nothing_start_without_what_computes(copy, words):
    """PyTorch, scikit-learn and MLflow take seconds of a core to import."""
    heavy = ["torch", "sklearn", "mlflow", "matplotlib", "librosa", "dask"]
    heavy += ["pandas", "pyarrow"] if words[0] != "run" else []
    code = (
        "import sys; from bench.cli.main import app; app(sys.argv[1:], standalone_mode=False)\n"
        f"loaded = [name for name in {heavy} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_last_lines_of_a_run_say_where_to_look(copy, capsys):
    assert bench("run", "tiny") == 0
    out = capsys.readouterr().out
    assert "bold: the best of its column; underlined: the second" in out
    assert "report: reports/tiny/index.html\ncompare the runs: bench ui tiny\n" in out
