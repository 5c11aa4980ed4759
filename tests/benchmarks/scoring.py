"""Our scoring against museval and mir_eval, in one run on one machine.

    python tests/benchmarks/scoring.py [--quick]

Writes ``reports/benchmarks/scoring.md``. Each case runs in a process of its own with one thread:
both sides score the same signals (synthetic karaoke repeated to length, a filter and noise apart
in every channel), each is warmed up, they take turns, and the best time of several is taken, since
other work on the machine only ever adds. *Cold* prepares the references anew; *cached* scores
further estimates of the same references.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import best, heading, in_process, write

from bench.datasets.synthetic import Synthetic
from bench.scoring.bss_eval.api import References
from bench.scoring.bss_eval.ratios import Scores
from bench.track import TARGETS


@dataclass(frozen=True)
class Case:
    """What is scored: v3 against mir_eval, or v4 in windows of 1 s against museval."""

    version: int
    seconds: int
    rate: int
    n_channels: int
    n_targets: int

    @property
    def name(self) -> str:
        """As it stands in the table."""
        layout = "mono" if self.n_channels == 1 else "stereo"
        return (
            f"v{self.version}, {self.seconds} s {layout}, {self.rate} Hz, {self.n_targets} targets"
        )

    @property
    def peer(self) -> str:
        """The library that it is compared with."""
        return "mir_eval" if self.version == 3 else "museval"


CASES = [
    Case(3, 8, 16_000, 1, 2),
    Case(4, 30, 44_100, 2, 2),
    Case(4, 30, 44_100, 2, 4),
    Case(4, 240, 44_100, 2, 2),
    Case(4, 240, 44_100, 2, 4),
]


def signals(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return references and estimates ``(target, channels, samples)``, float64."""
    rng = np.random.default_rng(0)
    n = case.seconds * case.rate
    music = [track.references[t][0] for track in Synthetic().tracks("test") for t in TARGETS]
    references = np.empty((case.n_targets, case.n_channels, n))
    for j in range(case.n_targets):
        for c in range(case.n_channels):
            reference = np.resize(np.roll(music[j], 7 * c), n)
            references[j, c] = reference + 1e-5 * rng.standard_normal(n)
    estimates = np.empty_like(references)
    for j in range(case.n_targets):
        estimates[j] = references[j] + 0.3 * references[(j + 1) % case.n_targets]
        estimates[j, :, 1:] += 0.2 * references[j, :, :-1]
        estimates[j] += 1e-4 * rng.standard_normal(estimates[j].shape)
    return references, estimates


def ours(case: Case, prepared: References, estimates: np.ndarray) -> Scores:
    """Score by our code."""
    if case.version == 3:
        return prepared.score_sources(estimates)
    return prepared.score_images(estimates, case.rate, case.rate)


def theirs(case: Case, references: np.ndarray, estimates: np.ndarray) -> tuple[np.ndarray, ...]:
    """Score by the peer: SDR, SIR, SAR."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if case.version == 3:
            import mir_eval

            sdr, sir, sar, _ = mir_eval.separation.bss_eval_sources(
                references[:, 0], estimates[:, 0], compute_permutation=False
            )
        else:
            from museval.metrics import bss_eval

            sdr, _, sir, sar, _ = bss_eval(
                references.transpose(0, 2, 1),
                estimates.transpose(0, 2, 1),
                window=case.rate,
                hop=case.rate,
            )
    return sdr, sir, sar


def compare(case: Case) -> dict[str, float]:
    """Time both sides on a case, and find the largest difference in dB."""
    torch.set_num_threads(1)
    references, estimates = signals(case)
    prepared = References(references)
    scores = ours(case, prepared, estimates)
    theirs(case, references[..., : case.rate], estimates[..., : case.rate])
    cold, cached, peer = [], [], []
    for turn in range({8: 25, 30: 4}.get(case.seconds, 2)):
        cold.append(best(lambda: ours(case, References(references), estimates), 1))
        cached.append(best(lambda: ours(case, prepared, estimates), 1))
        if turn == 0 or case.seconds < 60:
            start = time.perf_counter()
            other = theirs(case, references, estimates)
            peer.append(time.perf_counter() - start)
    pairs = zip((scores.sdr, scores.sir, scores.sar), other, strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    least = {"cold": min(cold), "cached": min(cached), "peer": min(peer)}
    return {**least, "difference": difference}


def peak_memory(case: Case) -> float:
    """Return the peak of a process that holds float64 signals and scores them, in GiB."""
    torch.set_num_threads(1)
    references, estimates = signals(case)
    # The peak so far is that of making the signals: begin to count anew.
    Path("/proc/self/clear_refs").write_text("5")
    ours(case, References(references), estimates)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def throughput(case: Case) -> float:
    """Return how many cold scorings of a case a process does in a second."""
    torch.set_num_threads(1)
    references, estimates = signals(case)
    ours(case, References(references), estimates)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < 5:
        ours(case, References(references), estimates)
        n += 1
    return n / (time.perf_counter() - start)


def on_cuda(case: Case) -> dict[str, float]:
    """Time our side on a CUDA device."""
    references, estimates = (torch.from_numpy(x).cuda() for x in signals(case))

    def cold() -> None:
        ours(case, References(references), estimates)
        torch.cuda.synchronize()

    prepared = References(references)
    ours(case, prepared, estimates)
    return {"cold": best(cold, 3), "cached": best(lambda: ours(case, prepared, estimates), 3)}


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the songs of 240 s")
    quick = parser.parse_args().quick
    out = [
        "# Scoring: time, memory and agreement",
        "",
        f"{heading()} museval 0.4.1, mir_eval 0.8.2. Times are in seconds, the best of several "
        "runs; a ratio is the peer's time over ours. *Cold* prepares the references anew, *cached* "
        "scores further estimates of the same references.",
        "",
        "| case | peer | its time | ours, cold | ratio | ours, cached | ratio | difference (dB) |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in CASES if not quick else [c for c in CASES if c.seconds < 60]:
        (m,) = in_process(compare, case)
        out.append(
            f"| {case.name} | {case.peer} | {m['peer']:.3f} | {m['cold']:.3f} "
            f"| {m['peer'] / m['cold']:.1f} | {m['cached']:.3f} | {m['peer'] / m['cached']:.1f} "
            f"| {m['difference']:.0e} |"
        )
        print(out[-1], flush=True)
    out += ["", "| case | peak memory of a process, its signals in it (GiB) |", "|---|---:|"]
    for case in CASES if not quick else CASES[:3]:
        out.append(f"| {case.name} | {in_process(peak_memory, case)[0]:.2f} |")
        print(out[-1], flush=True)
    out += [
        "",
        "| case | 1 worker, scorings a second | 2 workers | ratio |",
        "|---|---:|---:|---:|",
    ]
    for case in CASES[:2]:
        (one,), two = in_process(throughput, case), sum(in_process(throughput, case, 2))
        out.append(f"| {case.name} | {one:.2f} | {two:.2f} | {two / one:.2f} |")
        print(out[-1], flush=True)
    if torch.cuda.is_available():
        out += ["", "| case, on CUDA | cold | cached |", "|---|---:|---:|"]
        for case in CASES:
            (m,) = in_process(on_cuda, case)
            out.append(f"| {case.name} | {m['cold']:.3f} | {m['cached']:.3f} |")
    else:
        out += ["", "No CUDA device here: not measured."]
    if not quick:
        write("scoring", out)


if __name__ == "__main__":
    main()
