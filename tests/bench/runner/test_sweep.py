"""A sweep shared, interrupted, starved of disk or store, damaged: nothing is lost or done twice."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client

from baselines.networks.drnn.separator import DRNN
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.methods.separator import Separator
from bench.methods.shared_work import SharedWork
from bench.plan.cells import cells
from bench.plan.experiment_file import read_experiment
from bench.runner import cell as cell_module
from bench.runner import dask_cluster
from bench.runner import training as training_module
from bench.runner.job import Job, JobResult
from bench.scoring.prepared import Prepared
from bench.store import claim
from bench.store.cell_folder import CellFolder
from bench.store.claim import newest
from bench.store.trained import member_folders
from tests.command import bench, cluster, end, start, wait_until

SLOW = """\
import os, time
from pydantic import Field
from bench.methods.separator import Separator, separator


@separator
class Slow(Separator):
    '''Takes its time, and notes each track.'''

    share: float = Field(0.5)
    wait_s: float = Field(0.1)

    def separate(self, mixture, rate):
        with open('log', 'a') as file:
            file.write(f'{self.share} {os.getpid()}\\n')
        time.sleep(self.wait_s)
        return {'vocals': self.share * mixture, 'accompaniment': (1 - self.share) * mixture}
"""
SWEEP = """\
title: Sweep
why: A test.
dataset: synthetic
examples: false
methods:
  - {method: 'slow:Slow', label: "Slow {share}", sweep: {share: [0.1, 0.2, 0.3, 0.4]}}
"""
ENSEMBLE = """\
title: Ensemble
why: A test.
dataset: synthetic
seeds: [0, 1]
examples: false
methods:
  - {method: drnn, label: Pair, fixed: &small {hidden: 4, recurrent: none, epochs: 1, ensemble: 2}}
  - {method: drnn, label: "Pair, binary", fixed: {<<: *small, test_mask: binary}}
  - {method: drnn, label: One, fixed: {<<: *small, ensemble: 1}}
"""
LEVELS = """\
import time
import numpy as np
from pydantic import Field
from bench.methods.separator import Separator, separator
from bench.methods.shared_work import shared


@separator
class Level(Separator):
    '''Gives the voice a share of the mixture, by a level that takes 50 ms to compute.'''

    share: float = Field(0.5)

    def separate(self, mixture, rate):
        level = shared(mixture, {'work': 'level'}, lambda: self.level(mixture))
        voice = self.share * level * mixture
        return {'vocals': voice, 'accompaniment': mixture - voice}

    def level(self, mixture):
        time.sleep(0.05)
        return np.sqrt(np.mean(mixture**2, axis=1, keepdims=True))
"""
N_TRACKS = 8


@pytest.fixture
def sweep(workspace, monkeypatch) -> Path:
    """A working directory with a sweep of four slow cells."""
    Path("slow.py").write_text(SLOW)
    Path("sweep.yaml").write_text(SWEEP)
    monkeypatch.syspath_prepend(str(workspace))
    monkeypatch.setenv("PYTHONPATH", str(workspace))
    return workspace


def separations() -> Counter[str]:
    """Return how often each cell has separated a track."""
    return Counter(line.split()[0] for line in Path("log").read_text().splitlines())


def scores() -> pd.DataFrame:
    return pd.read_parquet("reports/sweep/scores.parquet")


@pytest.mark.slow
def test_two_runs_at_once_share_the_work_and_do_no_cell_twice(sweep, begin):
    one, other = (begin("run", "sweep.yaml", "--workers", "0") for _ in range(2))
    said = [process.communicate(timeout=300)[0] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    assert separations() == dict.fromkeys(["0.1", "0.2", "0.3", "0.4"], N_TRACKS)
    computed = [int(text.split("4 cells: ")[1].split(" ")[0]) for text in said]
    assert sum(computed) == 4
    reused = [int(text.split("computed, ")[1].split(" ")[0]) for text in said]
    assert [a + b for a, b in zip(computed, reused, strict=True)] == [4, 4]


def test_a_cell_that_another_machine_is_at_is_waited_for_and_taken_over(sweep, monkeypatch):
    monkeypatch.setattr(claim, "STALE_S", 3.0)
    Path("sweep.yaml").write_text(SWEEP.replace("sweep: {", "fixed: {wait_s: 0}, sweep: {"))
    assert bench("run", "sweep.yaml", "--workers", "0", "-o", "methods[0].sweep.share=[0.1]") == 0
    (path,) = Path("runs").glob("*/claim.1.json")
    shutil.rmtree(path.parent / "scores")
    path.write_text(json.dumps({"machine": "another", "host": "elsewhere", "pid": 7}))
    os.utime(path)
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    last = [line.split()[0] for line in Path("log").read_text().splitlines()][-N_TRACKS:]
    assert last == ["0.1"] * N_TRACKS, "it did not wait for the first cell of the file"
    assert separations() == {"0.1": 2 * N_TRACKS, "0.2": 8, "0.3": 8, "0.4": 8}
    assert newest(path.parent).name == "claim.2.json"


@pytest.mark.slow
def test_status_tells_from_another_terminal_what_runs_and_where(sweep, capsys, begin):
    run = begin("run", "sweep.yaml", "--workers", "0", "-o", "methods[0].fixed.wait_s=1")
    wait_until(lambda: Path("log").exists() and sum(separations().values()) >= 3, "a few tracks")
    assert bench("status", "sweep") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Slow 0.1: running: separate ")
    assert "/8 tracks, about " in lines[0]
    assert f"process {run.pid} on " in lines[0]
    assert lines[-1] == "4 cells: 0 done, 1 running, 0 failed, 3 planned"
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert bench("status", "sweep") == 0
    assert capsys.readouterr().out == "4 cells: 0 done, 0 running, 0 failed, 4 planned\n"
    words = ["-o", "methods[0].fixed.wait_s=1"]
    assert bench("run", "sweep.yaml", "--dry-run", *words) == 0
    assert "Slow 0.1: to compute: stopped at separate " in capsys.readouterr().out


def in_group(process: psutil.Process, group: int) -> bool:
    """Tell whether a process is alive and of a group."""
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_what_is_kept_leaves_no_process_and_goes_on(sweep, number, begin):
    shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]  # enough that it still runs when told to stop
    words = ("run", "sweep.yaml", "-o", f"methods[0].sweep.share={shares}")
    run = begin(*words, "--workers", "2")
    wait_until(lambda: list(Path("runs").glob("*/scores/*.json")), "a finished cell")
    if number == signal.SIGINT:
        os.killpg(run.pid, number)  # as a terminal does
    else:
        run.send_signal(number)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "finished cells and checkpoints are kept, the same command goes on" in said
    assert "Traceback" not in said
    alive = lambda: [p for p in psutil.process_iter() if in_group(p, run.pid)]  # noqa: E731
    wait_until(lambda: not alive(), "the end of its processes", 10)
    done = separations()
    finished = [cell for cell, n in done.items() if n == N_TRACKS]
    assert bench(*words, "--workers", "0") == 0
    assert all(separations()[cell] == N_TRACKS for cell in finished)
    assert (scores()["metric"] == "sdr").sum() == len(shares) * 2 * N_TRACKS


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_sleep_that_is_longer_than_dask_waits_for_a_worker(sweep, begin):
    Path("dask.yaml").write_text("distributed: {scheduler: {worker-ttl: 1s}}")  # 5 s at the least
    run = begin("run", "sweep.yaml", "--workers", "1", DASK_CONFIG=str(sweep / "dask.yaml"))
    wait_until(lambda: Path("log").exists(), "work")
    os.killpg(run.pid, signal.SIGSTOP)  # all of it, as a laptop that sleeps
    time.sleep(8)
    os.killpg(run.pid, signal.SIGCONT)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0, said
    assert len({line.split()[1] for line in Path("log").read_text().splitlines()}) == 1
    assert set(separations().values()) == {N_TRACKS}


def test_where_no_worker_can_start_the_run_ends_with_why(sweep, monkeypatch, capsys):
    async def refuse(_nanny):
        raise PermissionError(13, "Permission denied", "semaphore")

    monkeypatch.setattr("distributed.nanny.Nanny.instantiate", refuse)
    monkeypatch.setattr(dask_cluster, "START_LIMIT_S", 1.0)
    assert bench("run", "sweep.yaml", "--workers", "2") == 2
    said = capsys.readouterr().err
    assert "no worker process can be started here" in said
    assert "Permission denied: 'semaphore'" in said
    assert "Traceback" not in said
    assert not Path("log").exists()


@pytest.mark.slow
def test_a_sweep_over_a_scheduler_ends_complete_though_a_worker_is_killed(sweep, begin):
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    alone = scores()
    shutil.rmtree("runs")
    Path("log").unlink()
    with cluster([], []) as dask:
        run = begin("run", "sweep.yaml", "--scheduler", dask.address)
        wait_until(lambda: Path("log").exists(), "work")
        pids = {line.split()[1] for line in Path("log").read_text().splitlines()}
        os.kill(int(pids.pop()), signal.SIGKILL)
        said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert "4 cells: 4 computed, 0 reused, 0 failed" in said
    assert len({line.split()[1] for line in Path("log").read_text().splitlines()}) >= 2
    both = scores()["value"].to_numpy(), alone["value"].to_numpy()
    finite = np.isfinite(both[1])
    assert np.array_equal(finite, np.isfinite(both[0]))
    assert np.abs(both[0][finite] - both[1][finite]).max() < 1e-6


def test_a_worker_of_several_threads_is_refused_in_one_line(sweep, capsys):
    with cluster([]) as dask:
        end(dask.workers.pop())
        words = ["worker", dask.address, "--host", "127.0.0.1", "--no-dashboard", "--no-nanny"]
        dask.workers.append(start(*words, "--nthreads", "3", "--name", "wide", module="dask"))
        with Client(dask.address) as client:
            wait_until(lambda: client.nthreads(), "a worker")
        assert bench("run", "sweep.yaml", "--scheduler", dask.address) == 2
    err = capsys.readouterr().err
    assert "the Dask worker wide has 3 threads" in err
    assert err.count("\n") == 1
    assert not Path("log").exists()


def test_a_scheduler_that_does_not_answer_is_named(sweep, capsys):
    assert bench("run", "sweep.yaml", "--scheduler", "tcp://127.0.0.1:9") == 2
    err = capsys.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in err
    assert err.count("\n") == 1
    assert bench("run", "sweep.yaml", "--scheduler", "tcp://127.0.0.1:9", "--workers", "2") == 2
    assert "--workers counts local processes" in capsys.readouterr().err


@pytest.fixture
def small_disk(sweep):
    """The cells' folder on a disk of 1 MB."""
    Path("runs").mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "runs"]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small disk; its twin below needs none")
    yield Path("runs")
    subprocess.run(["umount", "-l", str(sweep / "runs")], check=True)  # noqa: S607


def test_a_full_disk_stops_the_run_with_a_line_and_loses_nothing(small_disk, capsys):
    (small_disk / "ballast").write_bytes(b"x" * 900_000)
    assert bench("run", "sweep.yaml", "--workers", "0", "-o", "keep_estimates=true") == 2
    err = capsys.readouterr().err
    assert "No space left on device; stopped at Slow 0.1" in err
    assert "what is finished is kept, and the same command goes on" in err
    assert err.count("\n") == 1
    assert bench("status", "sweep") == 0
    assert "0 done, 0 running, 0 failed, 4 planned" in capsys.readouterr().out
    (small_disk / "ballast").unlink()
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert "4 cells: 4 computed, 0 reused, 0 failed" in capsys.readouterr().out


def test_a_read_only_folder_is_named_and_can_still_be_read(small_disk, capsys):
    assert bench("run", "sweep.yaml", "--workers", "0", "-o", "methods[0].sweep.share=[0.1]") == 0
    mounted = ["mount", "-o", "remount,ro", str(small_disk.resolve())]
    subprocess.run(mounted, check=True)
    capsys.readouterr()
    assert bench("run", "sweep.yaml", "--workers", "0") == 2
    err = capsys.readouterr().err
    assert err == "bench: runs cannot be written: Read-only file system; nothing was run\n"
    assert bench("run", "sweep.yaml", "--dry-run") == 0
    assert "4 cells: 3 to compute, 1 reused" in capsys.readouterr().out
    assert bench("status", "sweep") == 0
    assert bench("report", "sweep") == 0


def test_a_disk_that_is_full_where_scores_are_written_fails_no_cell(sweep, capsys, monkeypatch):
    written = os.fsync

    def full(descriptor: int) -> None:
        if "scores" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device")
        written(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert bench("run", "sweep.yaml", "--workers", "0") == 2
    err = capsys.readouterr().err
    assert "parquet cannot be written: No space left on device; stopped at Slow 0.1" in err
    assert not list(Path("runs").rglob("*.part"))
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert "4 cells: 4 computed, 0 reused, 0 failed" in capsys.readouterr().out


def test_a_damaged_cell_is_computed_again_with_a_line_and_any_file_of_it_may_be(sweep, capsys):
    assert bench("run", "sweep.yaml", "--workers", "0", "-o", "keep_estimates=true") == 0
    before = Path("reports/sweep/rows.csv").read_bytes()
    (folder,) = {p.parents[1] for p in Path("runs").glob("*/scores/*.parquet")} - {
        p.parents[1] for p in list(Path("runs").glob("*/scores/*.parquet"))[1:]
    }
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        path.write_bytes(b"\x00garbage")
    os.utime(newest(folder), (0, 0))
    capsys.readouterr()
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    out = capsys.readouterr().out
    assert "its scores are damaged and are computed again" in out
    assert "4 cells: 1 computed, 3 reused, 0 failed" in out
    assert Path("reports/sweep/rows.csv").read_bytes() == before


def test_kept_estimates_are_scored_by_a_new_protocol_to_the_same_bits(sweep, monkeypatch, capsys):
    both = ["-o", "protocols=[bss_eval_v3,bss_eval_v4]", "-o", "name=sweep"]
    assert bench("run", "sweep.yaml", "--workers", "0", *both) == 0
    straight = Path("reports/sweep/scores.parquet").read_bytes()
    shutil.rmtree("runs")
    keep = ["-o", "keep_estimates=true", "-o", "name=sweep"]
    assert bench("run", "sweep.yaml", "--workers", "0", *keep) == 0
    monkeypatch.setattr(Separator, "to", None)  # no method is made any more
    assert bench("run", "sweep.yaml", "--workers", "0", *both) == 0
    assert "4 cells: 4 computed" in capsys.readouterr().out
    assert Path("reports/sweep/scores.parquet").read_bytes() == straight
    kept = next(iter(Path("runs").glob("*/estimates/*")))
    assert len(list(kept.iterdir())) == N_TRACKS
    assert bench("score", "synthetic", str(kept), "--as", "Kept") == 0


def test_cells_that_were_finished_before_estimates_were_kept_are_named(sweep, capsys):
    keep = ["-o", "keep_estimates=true", "-o", "name=sweep"]
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert "has no estimates" not in capsys.readouterr().out
    assert bench("run", "sweep.yaml", "--workers", "0", *keep) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "has no estimates" in line]
    assert len(lines) == 4
    shutil.rmtree(lines[0].split("remove ")[1].split(" and run again")[0])
    assert bench("run", "sweep.yaml", "--workers", "0", *keep) == 0
    out = capsys.readouterr().out
    assert "4 cells: 1 computed, 3 reused, 0 failed" in out
    assert out.count("has no estimates") == 3


def test_a_cell_that_failed_on_a_host_whose_clock_is_ahead_is_tried_again(sweep, capsys):
    (cell, *_) = cells(read_experiment(Path("sweep.yaml")), Synthetic())
    folder = CellFolder(Path("runs").resolve(), cell)
    folder.fail("BenchError: out of memory", "")
    state = json.loads((folder.path / "state.json").read_text())
    (folder.path / "state.json").write_text(json.dumps({**state, "time": state["time"] + 3600}))
    assert bench("run", "sweep.yaml", "--workers", "0", "--retry-failed") == 0
    assert "4 cells: 4 computed, 0 reused, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "what"), [({"version": 2}, "method slow:Slow"),
                         ({"protocols": {"bss_eval_v3": 99}}, "protocol bss_eval_v3")]
)  # fmt: skip
def test_a_worker_with_other_code_than_the_run_computes_nothing(sweep, change, what):
    (cell, *_) = cells(read_experiment(Path("sweep.yaml")), Synthetic())
    planned = dataclasses.replace(cell, **change)
    Path("runs").mkdir()
    job = Job(Path("runs").resolve(), Path.cwd(), "cpu", 1, "")
    result = cell_module.compute(job, planned)
    assert result.status == "stopped"
    assert f"of {what}, and the run needs" in result.why
    assert not list(Path("runs").iterdir())


def test_work_that_rows_share_is_done_once_and_each_row_tells_its_time(sweep, monkeypatch):
    Path("level.py").write_text(LEVELS)
    Path("sweep.yaml").write_text(SWEEP.replace("slow:Slow", "level:Level"))
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert len(list(Path("runs/shared_work").iterdir())) == N_TRACKS
    facts = [json.loads(path.read_text()) for path in Path("runs").glob("*/scores/*.json")]
    assert len(facts) == 4
    assert min(fact["separate_s"] for fact in facts) > N_TRACKS * 0.05
    shared = scores()
    shutil.rmtree("runs")
    monkeypatch.setattr(cell_module, "sharing", lambda _folder: nullcontext(SharedWork(Path())))
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert not Path("runs/shared_work").exists()
    pd.testing.assert_frame_equal(scores(), shared)


def test_each_protocol_has_the_time_of_its_own_scores(sweep, monkeypatch):
    score = cell_module.score_track

    def slow(name, *arguments):
        time.sleep(0.3 if name == "si_sdr" else 0)
        return score(name, *arguments)

    monkeypatch.setattr(cell_module, "score_track", slow)
    cell = cells(read_experiment(Path("sweep.yaml"), ["protocols=[si_sdr, usdr]"]), Synthetic())[0]
    Path("runs").mkdir()
    job = Job(Path("runs").resolve(), Path("data"), "cpu", 1, "")
    assert cell_module.compute(job, cell).status == "done"
    folder = CellFolder(Path("runs"), cell)
    seconds = {name: folder.score_facts(name)["score_s"] for name in cell.protocols}
    assert seconds["si_sdr"] > 0.3 * N_TRACKS > seconds["usdr"] > 0


@pytest.mark.parametrize("failing", [False, True])
def test_a_training_that_was_taken_over_changes_nothing_more(workspace, monkeypatch, failing):
    """Another machine has waited for this one in vain, and has trained the cell itself."""
    Path("one.yaml").write_text(ENSEMBLE)
    cell = cells(read_experiment(Path("one.yaml")), Synthetic())[-1]
    folder = CellFolder(Path("runs").resolve(), cell)
    folder.path.parent.mkdir()

    def fit(method, *_):
        os.utime(newest(folder.path), (0, 0))
        with claim.claimed(folder.path) as other:
            assert other is not None
        if failing:
            raise RuntimeError("the context of the other process")
        return method

    monkeypatch.setattr(DRNN, "fit", fit)
    job = Job(folder.path.parent, Path("data"), "cpu", 1, "")
    result = cell_module.compute(job, cell)
    assert (result.status, result.why) == ("busy", "")
    assert not folder.is_fitted()
    assert not folder.fit_folder.exists()
    assert folder.state().get("stage") != "failed"


def test_a_failure_is_recorded_before_another_process_can_begin_the_cell(sweep, monkeypatch):
    cell = cells(read_experiment(Path("sweep.yaml")), Synthetic())[0]
    folder = CellFolder(Path("runs").resolve(), cell)
    folder.path.parent.mkdir()
    holders = []

    def failed(*_):
        raise BenchError("no luck")

    def recorded(failing, error):
        holders.append(claim.holder(failing.path))
        return JobResult("failed", str(error))

    monkeypatch.setattr(cell_module, "run_cell", failed)
    monkeypatch.setattr(cell_module, "record_failure", recorded)
    job = Job(folder.path.parent, Path("data"), "cpu", 1, "")
    assert cell_module.compute(job, cell).status == "failed"
    assert [holder["pid"] for holder in holders] == [os.getpid()]


def test_the_sdr_of_a_mixture_is_computed_once_in_a_worker_though_its_cache_is_full(
    sweep, monkeypatch
):
    counts = Counter[bool]()
    score = Prepared.score_sources

    def counted(references, estimates):
        counts[np.array_equal(estimates[0], estimates[1])] += 1  # the mixture for each target
        return score(references, estimates)

    monkeypatch.setattr(cell_module, "PREPARED_BYTES", 0)
    monkeypatch.setattr(cell_module, "_PREPARED", {})
    monkeypatch.setattr(cell_module, "_MIXTURE_SDR", {})
    monkeypatch.setattr(Prepared, "score_sources", counted)
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert counts == {True: N_TRACKS, False: 4 * N_TRACKS}
    once = scores()
    shutil.rmtree("runs")
    numbers = itertools.count()
    monkeypatch.setattr(cell_module, "_track_key", lambda _cell, _track: str(next(numbers)))
    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    assert counts[True] == 5 * N_TRACKS
    pd.testing.assert_frame_equal(scores(), once, check_exact=True)


def test_an_order_by_what_is_known_has_the_longest_first(sweep):
    from bench.runner.order import longest_first
    from bench.store.cell_folder import CellFolder
    from bench.store.files import read_json, write_text
    from bench.store.manifest import load_manifest

    assert bench("run", "sweep.yaml", "--workers", "0") == 0
    manifest = load_manifest(Path("runs"), "sweep")
    for folder, seconds in zip(manifest.folders, (3.0, 9.0, 1.0, 5.0), strict=True):
        (path,) = folder.path.glob("scores/*.json")
        write_text(path, json.dumps((read_json(path) or {}) | {"separate_s": seconds}))
    outcomes = manifest.results().outcomes
    rows = [folder.cell.row for folder in longest_first(manifest.folders, outcomes)]
    assert rows == ["Slow 0.2", "Slow 0.4", "Slow 0.1", "Slow 0.3"]
    unknown = [CellFolder(Path("elsewhere"), folder.cell) for folder in manifest.folders]
    assert longest_first(unknown, []) == unknown


@pytest.fixture
def trained(monkeypatch) -> list[Path]:
    """The folders in which trainings have begun, in order."""
    folders: list[Path] = []
    train = training_module._train
    monkeypatch.setattr(
        training_module, "_train", lambda *a: (folders.append(a[1].path), train(*a))[1]
    )
    return folders


def test_a_network_is_trained_once_whether_it_is_a_row_or_a_member(workspace, trained):
    Path("ensemble.yaml").write_text(ENSEMBLE)
    assert bench("run", "ensemble.yaml", "--workers", "0") == 0
    # Seeds 0 and 1 are rows and members, 2 and 3 members; and the two ensembles.
    assert len(trained) == len(set(trained)) == 6
    table = pd.read_parquet("reports/ensemble/scores.parquet")
    values = table.query("metric == 'nsdr'").groupby(["row", "seed"])["value"].mean()
    assert len(set(values.round(6))) == 6
    provenance = json.loads(Path("reports/ensemble/provenance.json").read_text())
    fits = {c["row"]: c["scores"]["bss_eval_v3"]["fit"] for c in provenance["cells"]}
    assert len(fits["Pair"]["members"]) == len(fits["Pair, binary"]["members"]) == 2
    assert "members" not in fits["One"]
    assert fits["One"]["provenance"]["threads"] == 1
    assert "1 thread a process" in Path("reports/ensemble/index.html").read_text()


def test_a_member_that_another_process_trains_does_not_keep_the_others_waiting(workspace, trained):
    Path("ensemble.yaml").write_text(ENSEMBLE)
    (cell,) = cells(read_experiment(Path("ensemble.yaml"), ["seeds=[0]"]), Synthetic())[:1]
    folder = CellFolder(Path("runs").absolute(), cell)
    members = member_folders(folder)
    with claim.claimed(members[0].path):
        job = Job(folder.path.parent, Path("data"), "cpu", 1, "commit")
        assert cell_module.compute(job, cell).status == "busy"
    assert trained == [members[1].path]
    assert cell_module.compute(job, cell).status == "done"
    assert trained == [members[1].path, members[0].path, folder.path]


def test_a_member_that_fails_fails_the_ensemble_and_is_not_trained_again(workspace, monkeypatch):
    trained = []

    def fail(*arguments):
        trained.append(arguments[1].path)
        raise BenchError("training diverged")

    monkeypatch.setattr(training_module, "_train", fail)
    Path("ensemble.yaml").write_text(ENSEMBLE)
    assert bench("run", "ensemble.yaml", "--workers", "0", "-o", "seeds=[0]") == 1
    assert len(trained) == 1  # the row of one network, which is a member of both ensembles


def test_each_cell_begins_at_another_track_and_its_scores_are_in_the_order_of_the_corpus(workspace):
    Path("pair.yaml").write_text(
        "title: Pair\nwhy: Two rows.\ndataset: synthetic\nexamples: false\nmethods:\n"
        "  - {method: ideal_ratio_mask, label: 'Power {power}', sweep: {power: [1, 2]}}\n"
    )
    planned = cells(read_experiment(Path("pair.yaml")), Synthetic())
    turns = [cell_module._turn(cell, 8) for cell in planned]
    assert all(sorted(turn) == list(range(8)) for turn in turns)
    assert len({turn[0] for turn in turns}) > 1
    assert bench("run", "pair.yaml", "--workers", "0") == 0
    table = pd.read_parquet("reports/pair/scores.parquet")
    for _, rows in table.groupby("row"):
        assert list(dict.fromkeys(rows["track"])) == Synthetic().names("test")
