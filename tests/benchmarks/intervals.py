"""How often 95 % intervals contain the truth, where clips share songs and songs share singers.

    python tests/benchmarks/intervals.py

Writes ``reports/benchmarks/intervals.md``. Scores are simulated with the group sizes of MIR-1K's
test clips: a part that all songs of a singer share, a part that all clips of a song share, and a
part of each clip, all normal with mean 0, which is the truth. Intervals are those of reports
(`bench.report.statistics.bootstrap_interval`).
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
#: Test clips of each song of each singer in all of MIR-1K: 825 clips, 89 songs, 17 singers.
SINGERS_825 = (
    (8,), (6, 7, 7, 8, 10), (8, 9, 11, 11, 13), (8, 8, 8, 9, 9), (7, 8, 8, 8, 9),
    (8, 10, 10, 10, 12), (3, 4, 8, 9, 14), (7, 10, 10, 11, 14), (6, 7, 9, 12, 14), (7, 8, 8, 8, 9),
    (9, 10, 11, 11, 11), (8, 8, 9, 10, 10), (8, 8, 9, 9, 11), (11, 11, 12, 15, 16),
    (7, 7, 7, 7, 8, 8), (4, 6, 7, 8, 8, 9, 12, 15), (6, 8, 9, 11, 12, 12, 13, 13, 13),
)  # fmt: skip
CLIPS_825 = tuple(clips for songs in SINGERS_825 for clips in songs)
#: Correlations of GNSDR within a song over the rows of `reports/paper_table3`: 0.44 in the median.
CORRELATIONS = (0.2, 0.44, 0.6)
#: Correlations of GNSDR within a song and within a singer over the rows of `reports/paper_table2`.
OF_SONG, OF_SINGER = 0.69, 0.27
#: Numbers of units, such as singers, of which intervals are compared.
N_UNITS = (2, 3, 4, 5, 6, 8, 17)
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


def coverage_with_singers(n_simulations: int) -> tuple[float, float]:
    """Return the coverage over songs and over singers where songs of a singer are alike.

    Parameters
    ----------
    n_simulations
        Number of test sets, each of the clips of `SINGERS_825`.
    """
    rng = np.random.default_rng(0)
    singers = [str(s) for s, songs in enumerate(SINGERS_825) for n in songs for _ in range(n)]
    songs = [str(song) for song, n in enumerate(CLIPS_825) for _ in range(n)]
    n_songs = [sum(of_singer) for of_singer in SINGERS_825]
    weights, n_covered = np.ones(sum(CLIPS_825)), np.zeros(2)
    for _ in range(n_simulations):
        shared = np.repeat(rng.normal(0, np.sqrt(OF_SINGER), len(SINGERS_825)), n_songs)
        within = (OF_SONG - OF_SINGER) / (1 - OF_SINGER)
        own = simulated(CLIPS_825, within, rng) * np.sqrt(1 - OF_SINGER)
        for i, units in enumerate((songs, singers)):
            low, high = bootstrap_interval((shared + own)[None], weights, mean, units)
            n_covered[i] += low <= 0 <= high
    over_songs, over_singers = n_covered / n_simulations
    return float(over_songs), float(over_singers)


def main() -> None:
    """Measure and write the report."""
    from measure import heading, write  # beside this file: only a script finds it there

    lines = [
        "# Intervals: coverage where clips share songs, and songs share singers",
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
    over_songs, over_singers = coverage_with_singers(N_SIMULATIONS)
    lines += [
        "",
        f"Where songs of a singer are alike too (825 clips, 89 songs, 17 singers; correlation "
        f"{OF_SONG} within a song, {OF_SINGER} within a singer): {100 * over_songs:.1f} % over "
        f"songs, {100 * over_singers:.1f} % over singers. The truth is that of singers who are not "
        "in the corpus.",
        "",
        "By the number of independent units of one clip:",
        "",
        "| " + " | ".join(map(str, N_UNITS)) + " |",
        "|" + "---:|" * len(N_UNITS),
    ]
    of_units = [coverage((1,) * n, 0.0, N_SIMULATIONS, "clip") for n in N_UNITS]
    lines.append("| " + " | ".join(f"{100 * covered:.1f} %" for covered in of_units) + " |")
    print("\n".join(lines))
    write("intervals", lines)


if __name__ == "__main__":
    main()
