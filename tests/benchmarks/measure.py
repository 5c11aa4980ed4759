"""What the benchmarks share: processes of one thread, times, and the heading of a report.

Everything is measured in processes of their own, which inherit the limits set here.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

from bench import provenance

REPORTS = Path(__file__).resolve().parents[2] / "reports" / "benchmarks"


def best(action: Callable[[], object], repeats: int) -> float:
    """Return the least of several times, in seconds: other work on a machine only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def in_process(function: Callable[[Any], Any], case: Any, n: int = 1) -> list[Any]:
    """Call a function in `n` processes of their own at once."""
    with multiprocessing.get_context("spawn").Pool(n) as pool:
        return pool.map(function, [case] * n, chunksize=1)


def heading() -> str:
    """Return where and when the figures were measured."""
    machine = provenance.machine()
    return (
        f"Made by `make benchmark` on {machine['processor']}, {machine['cores']} cores, one thread "
        f"a process; {provenance.now()[:10]}, commit {provenance.commit()[:12]}."
    )


def write(name: str, lines: Sequence[str]) -> None:
    """Write a report and say where it lies."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"{name}.md"
    path.write_text("\n".join(lines) + "\n")
    print(f"report: {path.relative_to(Path.cwd())}")
