"""What the runner and MLflow cost a sweep, what a second worker brings, how soon a plan is known.

    python tests/benchmarks/runner.py

Writes ``reports/benchmarks/runner.md``. The cells are robust PCA on the synthetic corpus:
training-free, a few seconds each. A sweep is run whole, as a user runs it, in a folder of its own
with MLflow's SQLite store: with `FEW` and with `MANY` cells, `ROUNDS` times, the best of each. What
a cell costs is the difference over the cells between, so that the start of the program, which is
told apart, is not in it. *Bare* is a loop that separates and scores the same tracks, and no more.
Processor time is that of all processes together: other work on the machine moves it least.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measure import best, heading, in_process, write
from numpy.typing import NDArray

from bench import methods
from bench.datasets.synthetic import Synthetic
from bench.runner import experiment, plan
from bench.runner.store import CellFolder
from bench.scoring.protocols import score

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY, ROUNDS = 2, 8, 2
N_PLANNED = 2000
#: Seconds by the clock and of the processor.
Times = NDArray[np.float64]
HEAD = "title: B\nwhy: A measurement.\ndataset: synthetic\nexamples: false\n"


def sweep(n: int) -> str:
    """Return an experiment of `n` cells of robust PCA."""
    values = [round(float(k), 3) for k in np.linspace(1.0, 1.1, n)]
    return f"{HEAD}methods:\n  - {{method: rpca, label: RPCA, sweep: {{k: {values}}}}}\n"


def bare(n: int) -> Times:
    """Return what the work of `n` cells takes by itself."""
    torch.set_num_threads(1)
    tracks = list(Synthetic().tracks("test"))

    def work(k: float) -> None:
        method = methods.find("rpca")(k=k)
        for track in tracks:
            score("bss_eval_v3", track, method.separate(track.mixture, track.rate))

    work(1.0)
    start, begun = time.perf_counter(), time.process_time()
    for k in np.linspace(1.0, 1.1, n):
        work(float(k))
    return np.array([time.perf_counter() - start, time.process_time() - begun])


def run(folder: Path, text: str, *words: str) -> Times:
    """Return what a `bench run` of an experiment in a folder takes."""
    (folder / "b.yaml").write_text(text)
    command = [sys.executable, "-c", "from bench.cli import main; main()", "run", "b.yaml", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return np.array([time.perf_counter() - start, cpu])


def swept(n: int, *words: str) -> Times:
    """Return what a sweep of `n` cells in an empty folder takes."""
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), sweep(n), *words)


def planned(folder: Path) -> str:
    """Leave the folders of many finished cells, and return their experiment."""
    seeds, atoms = list(range(20)), list(range(1, N_PLANNED // 20 + 1))
    entry = f"  - {{method: nmf, label: NMF, sweep: {{atoms: {atoms}}}}}\n"
    text = f"{HEAD}seeds: {seeds}\nmethods:\n{entry}"
    (folder / "b.yaml").write_text(text)
    tracks = [f"track {i}" for i in range(102)]
    rows = pd.DataFrame(
        [
            {"track": track, "target": target, "protocol": "bss_eval_v3", "metric": metric,
             "window": -1, "value": 1.0, "n_samples": 64_000}
            for track in tracks
            for target in ("vocals", "accompaniment")
            for metric in ("sdr", "sir", "sar", "nsdr")
        ]
    )  # fmt: skip
    for cell in plan.cells(experiment.read(folder / "b.yaml"), Synthetic()):
        own = CellFolder(folder / "runs", cell)
        own.begin()
        own.write_scores("bss_eval_v3", rows, {"n_tracks": len(tracks)})
    return text


def main() -> None:
    """Measure, print and write the report."""
    ways = {"0": ("--workers", "0"), "1": ("--workers", "1"), "2": ("--workers", "2")}
    few, many = ({way: [] for way in ways} for _ in range(2))
    work = []
    for _ in range(ROUNDS):
        work.append(in_process(bare, MANY - FEW)[0])
        print(f"bare: {work[-1].round(1)} s", flush=True)
        for way, words in ways.items():
            few[way].append(swept(FEW, *words))
            many[way].append(swept(MANY, *words))
            print(
                f"--workers {way}: {few[way][-1].round(1)}, {many[way][-1].round(1)} s", flush=True
            )
    n = MANY - FEW
    alone = np.min(work, axis=0) / n
    whole = {way: np.min(many[way], axis=0) for way in ways}
    cell = {way: (whole[way] - np.min(few[way], axis=0)) / n for way in ways}
    out = [
        "# Runner: its cost, workers, plans",
        "",
        f"{heading()} Cells of robust PCA on 8 clips of 4 s; a bare loop that separates and scores "
        f"takes {alone[0]:.2f} s a cell, {alone[1]:.2f} s of the processor. Sweeps of {FEW} and "
        f"{MANY} cells, MLflow in SQLite; a cell's time is the difference between the two over the "
        "cells between. Processor time is that of the runner, its workers and MLflow together.",
        "",
        "| `bench run` | a cell (s) | processor (s) | runner and tracking over the bare loop, "
        f"processor | start (s) | all {MANY} cells (s) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for way in ways:
        wall, cpu = cell[way]
        out.append(
            f"| `--workers {way}` | {wall:.2f} | {cpu:.2f} | {cpu / alone[1] - 1:+.1%} "
            f"| {whole[way][0] - MANY * wall:.1f} | {whole[way][0]:.1f} |"
        )
    ratio = cell["1"][0] / cell["2"][0]
    out += ["", f"Two workers over one, by the clock: {ratio:.2f} times as fast."]
    with tempfile.TemporaryDirectory() as folder:
        text = planned(Path(folder))
        seconds = best(lambda: run(Path(folder), text, "--dry-run"), 3)
    out += [
        "",
        f"`bench run --dry-run` of {N_PLANNED:,} finished cells, each file of scores read and "
        f"compared with its hash, from the start of the program to its end: {seconds:.1f} s.",
    ]
    print("\n".join(out))
    write("runner", out)


if __name__ == "__main__":
    main()
