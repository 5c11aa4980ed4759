"""What commands cost before they do anything, and what scoring costs as a user calls it.

    python tests/benchmarks/commands.py

Writes ``reports/benchmarks/commands.md``. Each command runs in a process of its own, as a shell
starts it, in a folder where `quick` has run; its processor time is that of the process and of all
that it starts, the least of `ROUNDS`. Scoring is called in a fresh process with the machine's own
number of threads and, by turns, with one.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import heading, write

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3
COMMANDS = {
    "`bench --help`": ["--help"],
    "`bench list`": ["list"],
    "`bench list drnn`": ["list", "drnn"],
    "`bench status quick`": ["status", "quick"],
    "`bench run quick`, ten finished cells": ["run", "quick"],
    "`bench report quick --check`": ["report", "quick", "--check"],
}
#: Scores 8 s of mono at 16 kHz, two targets; prints the seconds of the import, of the first call
#: and of each later one.
SCORING = """\
import sys, time
start = time.perf_counter()
import bench, numpy as np
score = bench.scoring.bss_eval_sources
print(time.perf_counter() - start)
if sys.argv[1] == "peer":
    import warnings, mir_eval
    warnings.simplefilter("ignore")
    score = lambda r, e: mir_eval.separation.bss_eval_sources(r[:, 0], e[:, 0], False)
rng = np.random.default_rng(0)
references = rng.standard_normal((2, 1, 128_000))
for _ in range(6):
    estimates = references + 0.3 * rng.standard_normal(references.shape)
    start = time.perf_counter()
    score(references, estimates)
    print(time.perf_counter() - start)
"""


def processor_s(words: list[str], folder: str) -> float:
    """Return the processor time of a command in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    bench = str(Path(sys.executable).with_name("bench"))
    subprocess.run([bench, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def scoring_s(who: str, n_threads: int | None) -> list[float]:
    """Return the seconds of the import, of the first call and of later ones, in a fresh process."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    if n_threads is not None:
        environment |= dict.fromkeys(names, str(n_threads))
    words = [sys.executable, "-c", SCORING, who]
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    """Measure, print and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "experiments", Path(folder, "experiments"))
        processor_s(["run", "quick"], folder)
        cost = {
            name: min(processor_s(words, folder) for _ in range(ROUNDS))
            for name, words in COMMANDS.items()
        }
    out = [
        "# Commands: what they cost before they do anything",
        "",
        f"{heading()} Processor time of the whole command, the least of {ROUNDS}.",
        "",
        "| command | s |",
        "|---|---:|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in cost.items()),
        "",
        "`bss_eval_sources` as a user calls it: a fresh process, 8 s of mono at 16 kHz, two "
        f"targets; the median of the later calls, and medians over {ROUNDS} processes. `threads` "
        "is what the caller has; our scoring takes one.",
        "",
        "| by | threads | import (s) | first call (s) | later calls (s) |",
        "|---|---:|---:|---:|---:|",
    ]
    for who, threads in (("ours", None), ("ours", 1), ("peer", None), ("peer", 1)):
        runs = [scoring_s(who, threads) for _ in range(ROUNDS)]
        columns = [
            statistics.median(run[0] for run in runs),
            statistics.median(run[1] for run in runs),
            statistics.median(statistics.median(run[2:]) for run in runs),
        ]
        name = "ours" if who == "ours" else "mir_eval"
        n = threads or os.cpu_count()
        out.append(f"| {name} | {n} | {' | '.join(f'{value:.3f}' for value in columns)} |")
    print("\n".join(out))
    write("commands", out)


if __name__ == "__main__":
    main()
