"""What a sweep of many finished cells costs: planning, status, report, MLflow and resuming.

    python tests/benchmarks/cells.py

Writes ``reports/benchmarks/cells.md`` and a figure of it. The cells are made by this program in a
temporary folder: RNMF on the synthetic corpus, each cell with random scores. Every command runs as
a shell starts it, in a process of its own; its time is by the clock and its memory the largest of
the process. The UI is opened in Chromium: once for its own files, and measured when it is opened
again. Recording 10,000 cells in MLflow takes most of the time.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import REPORTS, heading, in_process, write
from playwright.sync_api import sync_playwright

from bench import provenance
from bench.datasets import open_dataset
from bench.datasets.dataset import Dataset
from bench.datasets.synthetic import Synthetic
from bench.plan.cells import cells
from bench.plan.experiment_file import read_experiment
from bench.store.cell_folder import CellFolder
from bench.store.manifest import save_manifest
from bench.track import TARGETS

#: Number of cells: rows times seeds.
SIZES = {100: (10, 10), 1_000: (100, 10), 10_000: (100, 100)}
METRICS = ("sdr", "sir", "sar", "nsdr")
LENGTH = 128_000
#: Commands that are measured at every size.
COMMANDS = {
    "`bench run --dry-run`": ["run", "many.yaml", "--dry-run"],
    "`bench status`": ["status", "many"],
    "`bench report`": ["report", "many"],
}
RUN = ["run", "many.yaml", "--workers", "0"]
RECORD = "`bench run`, all to record in MLflow"
RESUME = "`bench run` again"
OPEN = "MLflow's UI, until its table shows the first cells"


def write_cells(workspace: Path, n_rows: int, n_seeds: int, tracks: list[str]) -> None:
    """Write an experiment file into a workspace, and the folders of its finished cells."""
    (workspace / "many.yaml").write_text(
        "title: Many\nwhy: A measurement.\ndataset: synthetic\nexamples: false\n"
        f"seeds: {list(range(n_seeds))}\nmethods:\n"
        f"  - {{method: rnmf, label: 'RNMF, {{atoms}} atoms', "
        f"sweep: {{atoms: {list(range(1, n_rows + 1))}}}}}\n"
    )
    experiment = read_experiment(workspace / "many.yaml")
    keys = [(track, target, metric) for track in tracks for target in TARGETS for metric in METRICS]
    scores = pd.DataFrame(keys, columns=["track", "target", "metric"])
    scores.insert(2, "protocol", "bss_eval_v3")
    scores["window"] = -1
    rng = np.random.default_rng(0)
    facts = {
        "fit": {},
        "separate_s": 1.0,
        "score_s": 1.0,
        "audio_s": len(tracks) * 8.0,
        "n_tracks": len(tracks),
        "peak_bytes": 1,
        "provenance": provenance.capture("cpu"),
    }
    for n, cell in enumerate(cells(experiment, open_dataset("synthetic", workspace))):
        folder = CellFolder(workspace / "runs", cell)
        folder.begin()
        row_value = 5 + 0.02 * (n // n_seeds)
        values = scores.assign(value=rng.normal(row_value, 2, len(scores)), n_samples=LENGTH)
        folder.write_scores("bss_eval_v3", values, facts)
        folder.write_state("done")


def measured(words: list[str], workspace: Path) -> tuple[float, float]:
    """Return the seconds that a command takes and its largest memory in GiB."""
    command = [str(Path(sys.executable).with_name("bench")), *words]
    start = time.perf_counter()
    with (workspace / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=workspace, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{words}: {(workspace / 'output.txt').read_text()[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def seconds_to_open(workspace: Path) -> float:
    """Return the seconds until MLflow's UI shows the first cells, the second time it is opened."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("bench")), "ui", "many", "--port", str(port)]
    with (workspace / "output.txt").open("w") as output:
        server = subprocess.Popen(
            command, cwd=workspace, stdout=subprocess.PIPE, stderr=output, text=True
        )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("MLflow: ").strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            for _ in range(2):
                start = time.perf_counter()
                page.goto(address)
                page.reload()
                page.get_by_role("link", name=re.compile("RNMF, ")).first.wait_for(timeout=300_000)
                seconds = time.perf_counter() - start
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
    return seconds


def make_workspace(case: tuple[Path, int, int, Dataset, list[str]]) -> None:
    """Write the finished cells into a workspace, and make them an experiment as a run would."""
    workspace, n_rows, n_seeds, dataset, tracks = case
    write_cells(workspace, n_rows, n_seeds, tracks)
    experiment = read_experiment(workspace / "many.yaml")
    planned = cells(experiment, dataset)
    save_manifest(workspace / "runs", experiment, dataset, planned, [], "many.yaml")


def measured_at_size(size: int) -> dict[str, tuple[float, ...]]:
    """Return the seconds of each command with so many finished cells, and its GiB."""
    figures: dict[str, tuple[float, ...]] = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        names = open_dataset("synthetic", workspace).names("test")
        in_process(make_workspace, (workspace, *SIZES[size], Synthetic(), names))
        for what, words in COMMANDS.items():
            figures[what] = measured(words, workspace)
        for what in (RECORD, RESUME):
            figures[what] = measured(RUN, workspace)
        figures[OPEN] = (seconds_to_open(workspace),)
    return figures


def draw(figures: dict[int, dict[str, tuple[float, ...]]], path: Path) -> None:
    """Draw the seconds of each command against the number of cells, both axes logarithmic."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "bench"
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for what in (*COMMANDS, RECORD, RESUME, OPEN):
        seconds = [figures[size][what][0] for size in figures]
        axes.loglog(list(figures), seconds, "o-", label=what.replace("`", ""))
    axes.set_xlabel("finished cells")
    axes.set_ylabel("time (s)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, print, draw and write the report."""
    figures = {size: measured_at_size(size) for size in SIZES}
    out = [
        "# Cells: what a sweep of many finished cells costs",
        "",
        f"{heading()} RNMF on 8 tracks, one time each: seconds by the clock, and in brackets the "
        f"largest memory of the process in GiB. MLflow in SQLite.",
        "",
        "| command | " + " | ".join(f"{size:,} cells" for size in SIZES) + " |",
        "|---|" + "---:|" * len(SIZES),
    ]
    for what in (*COMMANDS, RECORD, RESUME, OPEN):
        texts = [
            f"{seconds:.1f}" + "".join(f" ({memory:.2f})" for memory in memories)
            for seconds, *memories in (figures[size][what] for size in SIZES)
        ]
        out.append(f"| {what} | " + " | ".join(texts) + " |")
    out += ["", "![seconds against cells](cells.svg)"]
    print("\n".join(out))
    write("cells", out)
    draw(figures, REPORTS / "cells.svg")


if __name__ == "__main__":
    main()
