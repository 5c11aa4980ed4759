"""``bench report``: a report written again, or checked against its scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.cli.options import HERE, Data, Name, experiment_name, manifest_of
from bench.cli.tables import prepare, print_tables
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.store.manifest import Manifest


def report(
    name: Name,
    data: Data = Path("data"),
    check: Annotated[
        bool, typer.Option("--check", help="Prove that it is what its scores give; write nothing.")
    ] = False,
) -> None:
    """Write a report again from what was tracked, or check one that is there."""
    if check:
        _check(experiment_name(name))
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report

    manifest = manifest_of(name)
    prepare(HERE.reports / manifest.experiment.name)
    tables = tabulate(manifest.results())
    folder = write_report(tables, HERE.reports, _corpus_of(manifest, data), HERE.runs)
    print_tables(Console(), tables, folder)


def _check(name: str) -> None:
    """Print what in a report is not what its scores give, and end with status 1 where any is."""
    from bench.report.verify import problems

    folder = HERE.reports / name
    wrong = problems(folder, HERE.runs)
    verdict = f"{len(wrong)} wrong" if wrong else "is what its scores give"
    print("\n".join([*wrong, f"{folder}: {verdict}"]))
    raise typer.Exit(1 if wrong else 0)


def _corpus_of(manifest: Manifest, data: Path) -> Dataset | None:
    """Return the corpus on which an experiment was scored, or None where it is no longer here."""
    from bench.datasets import open_dataset

    try:
        dataset = open_dataset(manifest.experiment.dataset, data)
        same = dataset.digest("test") in {cell.digests["test"] for cell in manifest.cells}
    except BenchError:
        return None
    return dataset if same else None
