"""``bench import``: scores that were computed elsewhere, in our tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def import_scores(
    folder: Annotated[Path, typer.Argument(help="Files of museval: DIR/test/<track>.json.")],
    label: Annotated[str, typer.Option("--as", help="The row's name.")],
    into: Annotated[
        str | None, typer.Option(help="An experiment in whose tables and MLflow runs it appears.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Record it in MLflow.")] = False,
) -> None:
    """Read museval's JSON, such as SiSEC 2018's submissions, as a row marked as imported."""
    from bench.cli.sweep import REPORTS, RUNS, show_tables
    from bench.report.write import write
    from bench.store import imported, results
    from bench.store.cell_folder import CellFolder
    from bench.tracking.tracker import Tracker

    cell, scores = imported.read(folder, label)
    name = into or re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.") or "imported"
    if into is not None:
        cell = imported.as_guest(results.recall(RUNS, into), cell, scores)
    own = CellFolder(RUNS, cell)
    if not own.is_done():
        imported.keep(own, scores)
    if into is None:
        found = imported.alone(own, name)
    else:
        results.welcome(RUNS, into, cell)
        found = results.recall(RUNS, into)
    report = write(found, REPORTS)
    if record or into is not None:
        tracker = Tracker(found, Path())
        tracker.open()
        tracker.finish(own)
        tracker.close(0, report)
        if tracker.trouble:
            print(f"bench: {tracker.trouble}", file=sys.stderr)
    show_tables(Console(), found, report)
