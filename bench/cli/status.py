"""``bench status``: how far an experiment has come."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from bench.cli.options import NameArgument, manifest_of
from bench.errors import printable


def status(
    name: NameArgument,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of each failed cell.")
    ] = False,
) -> None:
    """Say how far an experiment has come, while it runs or after."""
    from bench.store.status import cell_status

    manifest = manifest_of(name)
    statuses = [(folder, cell_status(folder)) for folder in manifest.folders]
    for folder, cell in statuses:
        if cell.state in ("running", "failed"):
            print(printable(f"{folder.cell.name}: {cell.state}: {cell.why}"))
        if cell.state == "failed" and traceback:
            print(printable(folder.state().get("traceback", "")))
    n_in = Counter(cell.state for _, cell in statuses)
    counts = ", ".join(
        f"{n_in[state]} {state}" for state in ("done", "running", "failed", "planned")
    )
    print(f"{len(statuses)} cells: {counts}")
