"""How often 95 % intervals contain the truth, where several clips are of one song.

    python tests/benchmarks/intervals.py

Writes ``reports/benchmarks/intervals.md``. Scores are simulated with the group sizes of MIR-1K's
test clips: a part that all clips of a song share, and a part of each clip, both normal with mean 0,
which is the truth. Intervals are those of reports (`bench.report.statistics.bootstrap_interval`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.report.statistics import bootstrap_interval
from bench.scoring.aggregate import mean

#: Test clips of each song in the part of MIR-1K that the committed reports are on: 58 songs of one
#: clip, 19 of two and one of six, 102 clips in all.
CLIPS_102 = (1,) * 58 + (2,) * 19 + (6,)
#: Test clips of each song in all of MIR-1K: 825 clips of 89 songs, number of clips and of songs.
_SONGS_OF_825 = {
    3: 1, 4: 2, 6: 4, 7: 11, 8: 23, 9: 13, 10: 9, 11: 10, 12: 6, 13: 4, 14: 3, 15: 2, 16: 1,
}  # fmt: skip
CLIPS_825 = tuple(clips for clips, songs in _SONGS_OF_825.items() for _ in range(songs))
#: Correlations of GNSDR within a song over the rows of `reports/paper_table3`: 0.44 in the median.
CORRELATIONS = (0.2, 0.44, 0.6)
N_SIMULATIONS = 1000


def simulated(
    sizes: Sequence[int], correlation: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return scores of variance 1 and mean 0, those of a song correlated.

    Parameters
    ----------
    sizes
        Clips of each song.
    correlation
        Correlation of two clips of one song, in [0, 1].
    rng
        Source of the draws.
    """
    of_song = np.repeat(rng.normal(0, np.sqrt(correlation), len(sizes)), sizes)
    return np.asarray(of_song + rng.normal(0, np.sqrt(1 - correlation), sum(sizes)))


def coverage(sizes: Sequence[int], correlation: float, n_simulations: int, unit: str) -> float:
    """Return the fraction of simulated test sets whose interval contains the true mean.

    Parameters
    ----------
    sizes, correlation
        As in `simulated`.
    n_simulations
        Number of test sets.
    unit
        ``song``: clips of a song are drawn together; ``clip``: every clip alone, the rule of
        reports before this one.
    """
    rng = np.random.default_rng(0)
    songs = [str(song) for song, n in enumerate(sizes) for _ in range(n)]
    weights, n_covered = np.ones(sum(sizes)), 0
    for _ in range(n_simulations):
        values = simulated(sizes, correlation, rng)[None]
        low, high = bootstrap_interval(values, weights, mean, songs if unit == "song" else None)
        n_covered += low <= 0 <= high
    return n_covered / n_simulations


def main() -> None:
    """Measure and write the report."""
    from measure import heading, write  # beside this file: only a script finds it there

    lines = [
        "# Intervals: coverage where clips share songs",
        "",
        f"{heading()} How many of {N_SIMULATIONS:,} simulated test sets have the true mean inside "
        "their nominal 95 % interval. Chance alone moves a figure by about 1 point.",
        "",
        "| clips | songs | correlation within a song | over songs | over clips, the rule before |",
        "|---:|---:|---:|---:|---:|",
    ]
    for sizes in (CLIPS_102, CLIPS_825):
        for correlation in CORRELATIONS:
            over = [
                f"{100 * coverage(sizes, correlation, N_SIMULATIONS, unit):.1f} %"
                for unit in ("song", "clip")
            ]
            cells = [str(sum(sizes)), str(len(sizes)), f"{correlation:.2f}", *over]
            lines.append("| " + " | ".join(cells) + " |")
    print("\n".join(lines))
    write("intervals", lines)


if __name__ == "__main__":
    main()
