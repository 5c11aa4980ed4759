"""``bench register``: a trained row's model under a name of the team's own."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import HERE, complete_experiment


def register(
    experiment: Annotated[
        str, typer.Argument(help="An experiment's name.", autocompletion=complete_experiment)
    ],
    row: Annotated[str, typer.Argument(help="The label of a trained row.")],
    name: Annotated[
        str | None, typer.Option("--as", help="Name of the model; the experiment's if none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
) -> None:
    """Register a trained row's model in MLflow, for others to load by name."""
    from bench.tracking.register import register_model

    print(register_model(HERE, experiment, row, seed, name or experiment))
