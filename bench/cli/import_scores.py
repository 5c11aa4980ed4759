"""``bench import``: scores that were computed elsewhere, in our tables."""

from __future__ import annotations

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
    from bench.cli.sweep import RUNS, show_external
    from bench.store.external import import_museval

    show_external(Console(), import_museval(RUNS, folder, label, into), record or into is not None)
