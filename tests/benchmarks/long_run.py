"""Whether a long sweep keeps its memory, its open files and its threads.

    python tests/benchmarks/long_run.py

Writes ``reports/benchmarks/long_run.md``. One ``bench run`` with one worker computes `N_CELLS`
short cells: REPET on the synthetic corpus with as many longest periods, scored by uSDR, each
recorded in MLflow. As many cells as a sweep of 24 hours has whose cells take three quarters of a
minute. At every tenth the program reads the resident memory, the open files and the threads of the
command and of its worker.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from measure import heading, write

N_CELLS = 2_000
LOOK_S = 1.0
EXPERIMENT = f"""\
title: Long
why: A measurement.
dataset: synthetic
examples: false
protocols: [usdr]
methods:
  - method: repet
    label: "longest period {{longest_s}} s"
    sweep: {{longest_s: {[round(8 + n / N_CELLS, 6) for n in range(N_CELLS)]}}}
"""


@dataclass(frozen=True)
class Usage:
    """What one process holds: memory in MiB, open files and threads."""

    memory: float
    files: int
    threads: int

    @classmethod
    def of(cls, process: psutil.Process) -> Usage:
        """Read what a process holds now."""
        with process.oneshot():
            memory = process.memory_info().rss / 2**20
            return cls(memory, process.num_fds(), process.num_threads())


@dataclass(frozen=True)
class Look:
    """The command and its worker when so many cells had ended."""

    n_cells: int
    elapsed_s: float
    command: Usage
    worker: Usage


def looks(workspace: Path) -> list[Look]:
    """Run the sweep; return what was seen at every tenth of its cells."""
    command = [str(Path(sys.executable).with_name("bench")), "run", "long.yaml", "--workers", "1"]
    start, seen = time.perf_counter(), list[Look]()
    with (workspace / "output.txt").open("w") as output:
        process = psutil.Popen(command, cwd=workspace, stdout=output, stderr=output)
        while process.poll() is None:
            time.sleep(LOOK_S)
            n_cells = sum(1 for _ in (workspace / "runs").glob("*/scores/*.json"))
            if n_cells < (len(seen) + 1) * N_CELLS // 10 or n_cells >= N_CELLS:
                continue
            # The worker is the child with most memory; beside it runs multiprocessing's tracker.
            children = process.children(recursive=True)
            worker = max(children, key=lambda child: child.memory_info().rss)
            elapsed_s = time.perf_counter() - start
            seen.append(Look(n_cells, elapsed_s, Usage.of(process), Usage.of(worker)))
    if process.returncode:
        raise RuntimeError((workspace / "output.txt").read_text()[-2000:])
    return seen


def main() -> None:
    """Measure, print and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "long.yaml").write_text(EXPERIMENT)
        seen = looks(Path(folder))
    out = [
        "# Long run: what a sweep of many cells holds as it goes on",
        "",
        f"{heading()} One `bench run` with one worker, {N_CELLS:,} cells of REPET on "
        "8 tracks, each recorded in MLflow, in SQLite.",
        "",
        "| cells ended | time (s) | command: memory (MiB) | open files | threads "
        "| worker: memory (MiB) | open files | threads |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for look in seen:
        cells = [f"{look.n_cells:,}", f"{look.elapsed_s:.0f}"]
        for held in (look.command, look.worker):
            cells += [f"{held.memory:.0f}", str(held.files), str(held.threads)]
        out.append(f"| {' | '.join(cells)} |")
    print("\n".join(out))
    write("long_run", out)


if __name__ == "__main__":
    main()
