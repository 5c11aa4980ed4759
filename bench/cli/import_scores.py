"""``bench import``: scores that were computed elsewhere, in our tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import HERE, IntoOption, RecordOption
from bench.cli.tables import finish_external


def import_scores(
    folder: Annotated[Path, typer.Argument(help="Files of museval: DIR/test/<track>.json.")],
    label: Annotated[str, typer.Option("--as", help="The row's name.")],
    into: IntoOption = None,
    record: RecordOption = False,
) -> None:
    """Read museval's JSON, such as SiSEC 2018's submissions, as a row marked as imported."""
    from bench.store.external import import_museval

    row = import_museval(HERE, folder, label, into)
    finish_external(Console(), row.manifest, record or into is not None, row.folder)
