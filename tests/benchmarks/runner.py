"""What the runner and MLflow cost a sweep, what a second worker brings, how soon a plan is known.

    python tests/benchmarks/runner.py

Writes ``reports/benchmarks/runner.md``. The cells are robust PCA on the synthetic corpus:
training-free, two seconds or more each. A sweep is run as ``bench run`` runs it, with MLflow's
SQLite store, from its first worker's start to the last record, without its report: with `FEW` and
with `MANY` cells, `ROUNDS` times. What a cell costs is the difference over the cells between, so
that the start of the workers is not in it. *Work* is what the cells note of their separation and
scoring. What the runner costs is the time of all processes, less that work: both come from the same
processes, since the same work in another process differs by several percent on a shared machine,
as the bare loop shows beside them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measure import best, heading, in_process, write
from numpy.typing import NDArray
from rich.console import Console

from bench.cli.compute import compute_cells, job_of
from bench.cli.options import HERE
from bench.datasets.synthetic import Synthetic
from bench.methods import registry
from bench.plan import cells, experiment_file
from bench.runner.workers import parse_workers
from bench.scoring.protocols import score_track
from bench.store.cell_folder import CellFolder
from bench.store.manifest import load_manifest, save_manifest
from bench.tracking.recorder import Recorder
from bench.tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY, ROUNDS = 4, 16, 3
#: Of robust PCA: slower than published, so that a cell takes two seconds.
RHO = 1.25
N_PLANNED = 2000
#: Seconds by the clock and of the processor.
Times = NDArray[np.float64]
HEAD = "title: B\nwhy: A measurement.\ndataset: synthetic\nexamples: false\n"


def sweep(n: int) -> str:
    """Return an experiment of `n` cells of robust PCA."""
    values = [round(float(k), 3) for k in np.linspace(1.0, 1.1, n)]
    entry = f"{{method: rpca, label: RPCA, fixed: {{rho: {RHO}}}, sweep: {{k: {values}}}}}"
    return f"{HEAD}methods:\n  - {entry}\n"


def bare(n: int) -> Times:
    """Return what the work of `n` cells takes by itself."""
    torch.set_num_threads(1)
    tracks = list(Synthetic().tracks("test"))

    def work(k: float) -> None:
        method = registry.find_method("rpca")(k=k, rho=RHO)
        for track in tracks:
            score_track("bss_eval_v3", track, method.separate(track.mixture, track.rate))

    work(1.0)
    start, begun = time.perf_counter(), time.process_time()
    for k in np.linspace(1.0, 1.1, n):
        work(float(k))
    return np.array([time.perf_counter() - start, time.process_time() - begun])


def command(folder: Path, *words: str) -> None:
    """Run `bench` with these words in a folder."""
    line = [sys.executable, "-c", "from bench.cli.main import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    subprocess.run(line, cwd=folder, env=environment, check=True, capture_output=True)


def processor_s() -> float:
    """Return the processor time of this process and of its children that have ended."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


@dataclass(frozen=True)
class Swept:
    """What a sweep of some cells took, and what its cells note of their work."""

    times: Times
    work_s: float

    @classmethod
    def of(cls, n: int, workers: int) -> Swept:
        """Run a sweep of `n` cells in a process and a folder of their own."""
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            swept = pool.submit(cls.here, n, workers).result()
        line = (
            f"--workers {workers}, {n} cells: {swept.times.round(1)} s, work {swept.work_s:.1f} s"
        )
        print(line, flush=True)
        return swept

    @classmethod
    def here(cls, n: int, workers: int) -> Swept:
        """Run a sweep of `n` cells."""
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            Path("b.yaml").write_text(sweep(n))
            spec, dataset = experiment_file.read_experiment(Path("b.yaml")), Synthetic()
            planned = cells.cells(spec, dataset)
            save_manifest(HERE.runs, spec, dataset, planned, [], "b.yaml")
            manifest = load_manifest(HERE.runs, spec.name)
            workers_here = parse_workers(workers, 1, "", "cpu", n)
            tracker = Tracker(manifest, HERE)
            tracker.open()
            job = job_of(HERE.runs, Path(), workers_here)
            start, begun = time.perf_counter(), processor_s()
            with Path(os.devnull).open("w") as nowhere, Recorder(tracker, []) as recorder:
                console = Console(file=nowhere)
                compute_cells(
                    job, manifest.folders, workers_here, console, recorder.begin, recorder.end
                )
            times = np.array([time.perf_counter() - start, processor_s() - begun])
            facts = [folder.score_facts("bss_eval_v3") for folder in manifest.folders]
        return cls(times, sum(fact["separate_s"] + fact["score_s"] for fact in facts))


def planned(folder: Path) -> None:
    """Leave an experiment and the folders of its many finished cells."""
    seeds, atoms = list(range(20)), list(range(1, N_PLANNED // 20 + 1))
    entry = f"  - {{method: nmf, label: NMF, sweep: {{atoms: {atoms}}}}}\n"
    (folder / "b.yaml").write_text(f"{HEAD}seeds: {seeds}\nmethods:\n{entry}")
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
    for cell in cells.cells(experiment_file.read_experiment(folder / "b.yaml"), Synthetic()):
        own = CellFolder(folder / "runs", cell)
        own.begin()
        own.write_scores("bss_eval_v3", rows, {"n_tracks": len(tracks)})


def main() -> None:
    """Measure, print and write the report."""
    n = MANY - FEW
    loops, pairs, rounds = [], [], []
    for _ in range(ROUNDS):
        loops.append(in_process(bare, n)[0] / n)
        pairs.append(np.max(in_process(bare, n // 2, 2), axis=0) / n)
        print(
            f"bare: {loops[-1].round(2)} s a cell, in two processes {pairs[-1].round(2)} s",
            flush=True,
        )
        rounds.append({(w, m): Swept.of(m, w) for w in (1, 2) for m in (FEW, MANY)})
    alone, pair = np.mean(loops, axis=0), np.mean(pairs, axis=0)

    def a_cell(workers: int, what: Callable[[Swept], Any]) -> Any:
        """Return the difference over the cells between, the mean of all rounds."""
        differences = [what(s[workers, MANY]) - what(s[workers, FEW]) for s in rounds]
        return np.mean(differences, axis=0) / n

    work_s = a_cell(1, lambda s: s.work_s)
    one, two = (a_cell(workers, lambda s: s.times) for workers in (1, 2))
    out = [
        "# Runner: its cost, workers, plans",
        "",
        f"{heading()} Cells of robust PCA on 8 clips of 4 s, MLflow in SQLite; the difference "
        f"between sweeps of {FEW} and of {MANY} cells over the cells between, mean of {ROUNDS} "
        "rounds. Processor time is that of the runner, its workers and MLflow together.",
        "",
        "| a cell | s |",
        "|---|---:|",
        f"| separation and scoring, as the cells note them | {work_s:.2f} |",
        f"| the same in a bare loop, in a process of its own | {alone[0]:.2f} |",
        f"| a sweep with one worker, by the clock | {one[0]:.2f} |",
        f"| a sweep with one worker, processor | {one[1]:.2f} |",
        f"| a sweep with two workers, by the clock | {two[0]:.2f} |",
        "",
        f"Runner and tracking over the work, with one worker: {one[0] / work_s - 1:+.1%} by the "
        f"clock, {one[1] / work_s - 1:+.1%} of processor time.",
        "",
        f"Two workers over one, by the clock: {one[0] / two[0]:.2f} times as fast; two bare loops "
        f"at once over one: {alone[0] / pair[0]:.2f} times.",
    ]
    with tempfile.TemporaryDirectory() as folder:
        planned(Path(folder))
        seconds = best(lambda: command(Path(folder), "run", "b.yaml", "--dry-run"), 3)
    out += [
        "",
        f"`bench run --dry-run` of {N_PLANNED:,} finished cells, each file of scores read and "
        f"compared with its hash, from the start of the program to its end: {seconds:.1f} s.",
    ]
    print("\n".join(out))
    write("runner", out)


if __name__ == "__main__":
    main()
