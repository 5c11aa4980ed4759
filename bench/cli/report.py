"""``bench report``: a report written again, or checked against its scores."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import HERE, NameArgument, experiment_name, manifest_of
from bench.cli.tables import finish_external, prepare_report, print_tables
from bench.errors import BenchError


def report(
    name: NameArgument,
    check: Annotated[
        bool, typer.Option("--check", help="Check that it is what its scores give; write nothing.")
    ] = False,
    remove: Annotated[
        str | None,
        typer.Option(
            metavar="ROW", help="Take out a row that bench score or bench import added before."
        ),
    ] = None,
) -> None:
    """Write a report again from the cells in runs/, or check one that is there."""
    if check and remove is not None:
        raise BenchError("--check writes nothing and --remove does: leave one of them out")
    if check:
        _check(experiment_name(name))
    from bench.cli.progress import shown_stage
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report
    from bench.store.manifest import remove_external

    manifest = manifest_of(name)
    prepare_report(manifest.experiment.name)
    console = Console()
    if remove is not None:
        remove_external(HERE.runs, manifest.experiment.name, remove)
        finish_external(console, manifest_of(name), record=True)
        return
    with shown_stage(console, "writing the report"):
        tables = tabulate(manifest.results())
        folder = write_report(tables, HERE)
    print_tables(console, tables.parts, folder)


def _check(name: str) -> None:
    """Print what in a report is not what its scores give, and end with status 1 where any is.

    What was computed by earlier versions of methods and protocols is printed too, and is not wrong.
    """
    from bench.report.verify import earlier_versions, problems

    folder = HERE.reports / name
    wrong = problems(folder, HERE.runs)
    verdict = f"{len(wrong)} wrong" if wrong else "is what its scores give"
    print("\n".join([*wrong, *earlier_versions(folder), f"{folder}: {verdict}"]))
    raise typer.Exit(1 if wrong else 0)
