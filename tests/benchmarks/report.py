"""What the report of a large test set costs: 25 rows of 5 seeds over 825 tracks, as of all MIR-1K.

    python tests/benchmarks/report.py

Writes ``reports/benchmarks/report.md``. The cells are made as in ``cells.py``, with random scores
of tracks that are grouped as MIR-1K's clips are: 89 songs by 17 singers.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from cells import make_workspace, measured
from measure import heading, in_process, write

from bench.datasets.dataset import Groups
from bench.datasets.synthetic import Synthetic

N_ROWS, N_SEEDS, N_TRACKS, N_SONGS, N_SINGERS = 25, 5, 825, 89, 17


class ByMIR1K(Synthetic):
    """The synthetic corpus, whose test tracks are named and grouped as MIR-1K's clips."""

    def test_groups(self) -> dict[str, Groups]:
        """Return the song and the singer of every clip, ``SINGER_SONG_CLIP``."""
        return {
            name: Groups(name.rpartition("_")[0], name.partition("_")[0]) for name in clip_names()
        }


def clip_names() -> list[str]:
    """Return names of as many clips as MIR-1K's test set has."""
    return [f"singer{n % N_SONGS % N_SINGERS}_{n % N_SONGS}_{n:03d}" for n in range(N_TRACKS)]


def main() -> None:
    """Measure, print and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        in_process(make_workspace, (workspace, N_ROWS, N_SEEDS, ByMIR1K(), clip_names()))
        seconds, memory = measured(["report", "many"], workspace)
        page = workspace / "reports" / "many" / "index.html"
        megabytes = page.stat().st_size / 1e6
    out = [
        "# Report: what that of a large test set costs",
        "",
        heading(),
        "",
        f"`bench report` of {N_ROWS} rows of {N_SEEDS} seeds over {N_TRACKS} tracks, as of all of "
        f"MIR-1K: {seconds:.0f} s, {memory:.2f} GiB, a page of {megabytes:.1f} MB.",
    ]
    print("\n".join(out))
    write("report", out)


if __name__ == "__main__":
    main()
