"""How long the results of a large experiment take to load, and its tables to be computed.

    python tests/benchmarks/store.py

Writes ``reports/benchmarks/store.md``. The cells are made by this program in a temporary folder:
`N_ROWS` rows of `N_SEEDS` seeds, each cell with random scores of MUSDB18's `N_TRACKS` test tracks
under ``bss_eval_v3``. Loading reads the list of cells, compares each file of scores with its
SHA-256, and gives one table of all scores.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import heading, in_process, write

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment, MethodEntry
from bench.report.tabulate import tabulate
from bench.store.cell_folder import CellFolder
from bench.store.manifest import load_results, save_manifest
from bench.track import TARGETS

N_ROWS, N_SEEDS, N_TRACKS, ROUNDS = 100, 20, 102, 3
METRICS = ("sdr", "sir", "sar", "nsdr")
#: Samples of each track.
LENGTH = 64_000


def write_cells(runs: Path) -> None:
    """Write an experiment whose cells are all done."""
    entries = [MethodEntry(method="mixture", label=f"Row {i}") for i in range(N_ROWS)]
    experiment = Experiment(
        name="large",
        title="Large",
        why="A measurement.",
        dataset="synthetic",
        seeds=list(range(N_SEEDS)),
        methods=entries,
    )
    keys = [(f"track {i}", t, m) for i in range(N_TRACKS) for t in TARGETS for m in METRICS]
    scores = pd.DataFrame(keys, columns=["track", "target", "metric"])
    scores.insert(2, "protocol", "bss_eval_v3")
    scores["window"] = -1
    rng = np.random.default_rng(0)
    cells = []
    for row in range(N_ROWS):
        for seed in range(N_SEEDS):
            cell = Cell(
                f"Row {row}", "mixture", "unsupervised", 1, {"row": row}, seed, "synthetic",
                {"test": "0" * 64}, {"bss_eval_v3": 1},
            )  # fmt: skip
            folder = CellFolder(runs, cell)
            folder.begin()
            values = scores.assign(value=rng.normal(5, 2, len(scores)), n_samples=LENGTH)
            folder.write_scores("bss_eval_v3", values, {"n_tracks": N_TRACKS})
            cells.append(cell)
    save_manifest(runs, experiment, Synthetic(), cells, [], "many.yaml")


def load_and_tabulate(runs: Path) -> tuple[float, float]:
    """Return the seconds that loading takes and those that the tables take."""
    start = time.perf_counter()
    results = load_results(runs, "large")
    n_scores = len(results.scores)
    loaded = time.perf_counter()
    tabulate(results)
    end = time.perf_counter()
    if n_scores != N_ROWS * N_SEEDS * N_TRACKS * len(TARGETS) * len(METRICS):
        raise RuntimeError(f"{n_scores} scores were loaded")
    return loaded - start, end - loaded


def main() -> None:
    """Measure, print and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        write_cells(Path(folder))
        times = [in_process(load_and_tabulate, Path(folder))[0] for _ in range(ROUNDS)]
    load_s, tables_s = np.min(times, axis=0)
    out = [
        "# Store: results of many cells",
        "",
        f"{heading()} {N_ROWS * N_SEEDS:,} cells of {N_TRACKS} tracks, two targets and four "
        f"metrics: {N_ROWS} rows of {N_SEEDS} seeds. The least of {ROUNDS} times, each in a "
        "process of its own.",
        "",
        "| step | s |",
        "|---|---:|",
        "| load: read each file of scores, compare it with its SHA-256, one table of all | "
        f"{load_s:.1f} |",
        f"| rows, bootstrap intervals, tests and tables | {tables_s:.1f} |",
    ]
    print("\n".join(out))
    write("store", out)


if __name__ == "__main__":
    main()
