"""The fault drill: processes are killed at seeded random moments, and the table is the same.

``make drill`` kills 60 times; the suite, to save time, less often.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pytest
import soundfile

from bench.store.claim import holder
from bench.store.files import read_json
from tests.command import ROOT, bench, cluster, end, ran, start, wait_until

METHODS = """\
import os, time
import numpy as np
from pydantic import Field
from bench.methods.separator import Separator, separator


@separator
class Told(Separator):
    '''Separates by a constant share, and notes each time in a file that no kill touches.'''

    share: float = Field(0.5)

    def separate(self, mixture, rate):
        with open(os.environ['DRILL_LOG'], 'a') as file:
            file.write(f'{self.share} {time.time()}\\n')
        time.sleep(float(os.environ.get('DRILL_WAIT', 0)))
        noise = 0.01 * np.random.default_rng(1).standard_normal(mixture.shape)
        return {'vocals': self.share * mixture + noise, 'accompaniment': 0.5 * mixture}


@separator
class Taught(Told):
    '''Learns nothing, and takes its time over it.'''

    def fit(self, tracks, dev=(), context=None):
        time.sleep(float(os.environ.get('DRILL_FIT_WAIT', 0)))
        self.share_ = np.array(self.share)
        return self
"""
SHARES = [round(0.05 * n, 2) for n in range(1, 13)]
DRILL = f"""\
title: Drill
why: Its processes are killed.
dataset: mir1k
examples: false
keep_estimates: true
protocols: [bss_eval_v3]
methods:
  - {{method: 'told:Told', label: "Told {{share}}", sweep: {{share: {SHARES}}}}}
  - {{method: 'told:Taught', label: "Taught {{share}}", sweep: {{share: [0.5, 0.6]}}}}
  - {{method: nmf, label: NMF, fixed: {{atoms: 2, iterations: 20}}}}
  - method: drnn
    label: DNN {{test_mask}}
    fixed: {{hidden: 16, layers: 2, recurrent: none, epochs: 25, patience: 25, mask: none}}
    sweep: {{test_mask: [none, abs]}}
"""
#: Added one after the other: each is a stage of scoring alone, of estimates that were kept.
PROTOCOLS = ["bss_eval_v3", "bss_eval_v4", "museval", "si_sdr", "usdr"]
FILES = ("rows.csv", "scores.parquet", "table.md", "table.tex")
N_CELLS = len(SHARES) + 5
#: Kills from the first millisecond of a command on: while it imports, makes the store and plans.
N_AT_START = int(os.environ.get("DRILL_AT_START", "4"))
#: Kills in all, at least, and about so many before all is trained and separated.
N_KILLS = int(os.environ.get("DRILL_KILLS", "32"))
N_EARLY = N_KILLS - 6
#: Longest time in seconds from the start of a command to its kill; imports and the creation of the
#: store take about as long.
START_S = 10.0


def corpus(root: Path) -> None:
    """Write clips of 1 s: what is read quickly leaves more of the time for kills."""
    folder = root / "data" / "MIR-1K" / "Wavfile"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("amy_1_01", "amy_1_02", "amy_9_08", *(f"Ani_1_{i:02d}" for i in range(1, 7))):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal((16_000, 2)), 16_000)


def scored_by(n: int) -> tuple[str, ...]:
    """Return the words that name the first protocols."""
    return "-o", "name=drill", "-o", f"protocols=[{','.join(PROTOCOLS[:n])}]"


def folders() -> list[Path]:
    return [path.parent for path in Path("runs").glob("*/cell.json")]


def markers() -> dict[Path, tuple[int, int]]:
    """Return what tells each finished set of scores from one that was written again."""
    written = {}
    for path in Path("runs").glob("*/scores/*.json"):
        status = path.stat()
        written[path] = status.st_ino, status.st_mtime_ns
    return written


def at_work() -> dict[str, list[int]]:
    """Return the processes that hold a claim, by stage."""
    pids: dict[str, list[int]] = {}
    for folder in folders():
        by, state = holder(folder), read_json(folder / "state.json") or {}
        if by is not None and state.get("pid") == by.get("pid"):
            pids.setdefault(state["stage"], []).append(by["pid"])
    return pids


def unrecorded() -> list[Path]:
    """Return the cells that are done and not yet recorded."""
    notes = {folder: read_json(folder / "mlflow.json") or {} for folder in folders()}
    done = [folder for folder in folders() if list((folder / "scores").glob("*.json"))]
    return [folder for folder in done if not any("recorded" in n for n in notes[folder].values())]


class Drill:
    """Kills, counts, and looks after every kill that nothing finished was touched."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - drawn again alike, not secret
        self.kills: Counter[tuple[str, str]] = Counter()
        self.seen: dict[Path, tuple[int, int]] = {}

    def look(self) -> None:
        now = markers()
        assert {path: now[path] for path in self.seen} == self.seen
        self.seen = now

    def worker(self, run, *stages: str) -> None:
        """Kill a worker that is in one of the stages, a random time after it was seen there.

        The stage is the first of them in which none was killed yet, while there is one.
        """
        stages = tuple(s for s in stages if ("worker", s) not in self.kills)[:1] or stages
        victims: list[tuple[str, int]] = []

        def is_seen() -> bool:
            victims[:] = [(s, pid) for s, pids in at_work().items() if s in stages for pid in pids]
            return bool(victims) or run.poll() is not None

        wait_until(is_seen, f"a cell in {stages}")
        time.sleep(self.rng.uniform(0, 0.3))
        if victims and run.poll() is None:
            stage, pid = self.rng.choice(victims)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills["worker", stage] += 1
        self.look()

    def other(self, what: str, run, victim) -> None:
        """Kill the parent or the scheduler: half of the times where a result is not recorded."""
        was_in_record = any(stage == "record" for _, stage in self.kills)
        stage = self.rng.choice(["record", "any"]) if was_in_record else "record"
        if stage == "record":
            wait_until(lambda: unrecorded() or run.poll() is not None, "a result")
        else:
            wait_until(lambda: at_work() or run.poll() is not None, "work")
        time.sleep(self.rng.uniform(0, 0.3))
        if run.poll() is None:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            self.kills[what, stage] += 1
        self.look()


def at_the_start(drill: Drill, words: list[str]) -> None:
    """Start a command from nothing, as a shell does, and kill it within `START_S`."""
    command = [str(Path(sys.executable).with_name("bench")), *words, "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(ROOT)])}
    nowhere = subprocess.DEVNULL
    run = subprocess.Popen(
        command, env=environment, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    time.sleep(drill.rng.uniform(0.001, START_S))
    assert run.poll() is None, "it ended before it was killed"
    run.kill()
    run.wait()
    drill.kills["command", "start"] += 1
    time.sleep(drill.rng.uniform(0, 0.3))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    drill.look()


def on_local_workers(drill: Drill, words: list[str], stages: list[str]) -> None:
    run = start(*words, "--workers", "2")
    for _ in range(3):
        drill.worker(run, *stages)
    drill.other("parent", run, run)
    end(run)


def on_a_scheduler(drill: Drill, words: list[str], stages: list[str]) -> None:
    with cluster([], []) as dask:
        run = start(*words, "--scheduler", dask.address)
        drill.worker(run, *stages)
        dask.replace_dead_workers()
        drill.other("parent", run, run)
        end(run)
        run = start(*words, "--scheduler", dask.address)
        drill.worker(run, *stages)
        dask.replace_dead_workers()
        drill.other("scheduler", run, dask.scheduler)
        said, _ = run.communicate(timeout=120)
        assert "Dask scheduler" in said or "cells:" in said, said
        end(run)


@pytest.mark.slow
def test_after_all_kills_the_table_is_that_of_an_undisturbed_sweep(workspace, monkeypatch):
    monkeypatch.setenv("DRILL_LOG", str(workspace / "log"))
    Path("told.py").write_text(METHODS)
    monkeypatch.syspath_prepend(str(workspace))
    for name in ("through", "killed"):
        Path(name).mkdir()
        Path(name, "drill.yaml").write_text(DRILL)
        Path(name, "told.py").write_text(METHODS)
    shutil.copy("mlflow.db", "through")  # in the drill it is made amid kills
    monkeypatch.chdir(workspace / "through")
    corpus(workspace)
    monkeypatch.setenv("BENCH_DATA", str(workspace / "data"))
    assert bench("run", "drill.yaml", *scored_by(5), "--workers", "0") == 0
    (workspace / "log").unlink()
    monkeypatch.setenv("DRILL_WAIT", "0.5")

    monkeypatch.chdir(workspace / "killed")
    drill = Drill(2015)
    begun = time.monotonic()
    words = ["run", "drill.yaml", "--retry-failed"]
    monkeypatch.setenv("DRILL_FIT_WAIT", "60")  # so that no kill at the start comes after it
    for _ in range(N_AT_START):
        at_the_start(drill, words)
    monkeypatch.setenv("DRILL_FIT_WAIT", "1")
    while drill.kills.total() < N_EARLY and len(drill.seen) < N_CELLS:
        on_local_workers(drill, words, ["fit", "separate"])
        on_a_scheduler(drill, words, ["fit", "separate"])
    ran(*words, "--workers", "2")
    drill.look()
    n_separated = (workspace / "log").read_text().count("\n")
    for n in range(2, len(PROTOCOLS) + 1):
        if drill.kills.total() < N_KILLS or ("worker", "score") not in drill.kills:
            on_local_workers(drill, [*words, *scored_by(n)], ["score"])
            ran(*words, *scored_by(n), "--workers", "2")
    print(f"{drill.kills.total()} kills in {time.monotonic() - begun:.0f} s: {dict(drill.kills)}")
    assert drill.kills.total() >= N_KILLS
    assert {what for what, _ in drill.kills} == {"command", "worker", "parent", "scheduler"}
    stages = {stage for _, stage in drill.kills}
    assert stages >= {"start", "fit", "separate", "score", "record"}
    said = ran(*words, *scored_by(5), "--workers", "2")
    assert f"{N_CELLS} cells: " in said
    drill.look()
    assert (workspace / "log").read_text().count("\n") == n_separated, "separated for a protocol"

    for name in FILES:
        ours, theirs = (Path(p, "reports/drill", name) for p in (".", "../through"))
        assert without_cost(ours) == without_cost(theirs), name
    once, again = (recorded(Path(path)) for path in ("../through", "."))
    assert len(once) == len(again) == N_CELLS
    for row, (status, figures) in once.items():
        assert again[row][0] == status == "FINISHED"
        assert again[row][1].items() >= figures.items()  # and those of one protocol alone


def without_cost(path: Path) -> bytes:
    """Return the bytes of a file of a report without its table of cost, which holds times."""
    return re.sub(rb"\n## Cost\n.*?(?=\n## )", b"", path.read_bytes(), flags=re.DOTALL)


def recorded(folder: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """Return status and figures of each cell's run in MLflow, but its times and memory."""
    store = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder.resolve() / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("drill")
    runs = store.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    assert len({run.data.tags["fingerprint"] for run in runs}) == len(runs), "two runs of a cell"
    return {
        run.data.tags["row"]: (
            run.info.status,
            {k: v for k, v in run.data.metrics.items() if not k.startswith(("time/", "system/"))},
        )
        for run in runs
    }
