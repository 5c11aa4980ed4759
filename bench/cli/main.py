"""The command line: one file a command, put together here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.data import data_app
from bench.cli.import_scores import import_scores
from bench.cli.list_names import list_names
from bench.cli.listen import listen
from bench.cli.register import register
from bench.cli.report import report
from bench.cli.reproduce import reproduce
from bench.cli.run import run
from bench.cli.score import score
from bench.cli.separate import separate
from bench.cli.status import status
from bench.cli.track import track
from bench.cli.ui import ui
from bench.cli.warn import warn
from bench.errors import BenchError
from bench.version import __version__

app = typer.Typer(
    help="Train, separate, score and compare methods of singing-voice separation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (run, status, track, report, listen, reproduce, score, separate, register, ui):
    app.command()(command)
app.command("import")(import_scores)
app.command("list")(list_names)
app.add_typer(data_app, name="data")


def _print_version(value: bool) -> None:
    """Print the version and end."""
    if value:
        print(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Train, separate, score and compare methods of singing-voice separation."""


def main() -> None:
    """Run a command. A `BenchError` is printed, a line a fault, and ends with status 2."""
    try:
        app()
    except BenchError as error:
        warn(error)
        sys.exit(2)
