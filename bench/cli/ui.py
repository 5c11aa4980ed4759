"""``bench ui``: the MLflow UI on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.options import HERE, complete_experiment


def ui(
    experiment: Annotated[
        str | None,
        typer.Argument(
            help="The experiment to open; the last one if none.",
            autocompletion=complete_experiment,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open the MLflow UI on the store, on this machine only."""
    from bench.tracking.ui import serve

    serve(HERE, experiment, port, show=sys.stdout.isatty())
