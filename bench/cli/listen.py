"""``bench listen``: a blind listening test of an experiment's rows, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.cli.options import HERE, NameArgument, manifest_of
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.report.tabulate import ReportTables
    from bench.store.manifest import Manifest


def listen(
    name: NameArgument,
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", help="Label of a row to hear; repeatable. The best ten if none."),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the files that listeners saved; adds their ratings to the report."
        ),
    ] = None,
) -> None:
    """Write the page of a blind listening test, or put its answers into the report."""
    from bench.cli.progress import shown_stage
    from bench.report.tabulate import tabulate

    if answers is not None and rows:
        raise BenchError(
            "--rows and --answers exclude each other: --rows chooses the rows of a new test, "
            "--answers reads the answers to a test that is there"
        )
    manifest = manifest_of(name)
    console = Console()
    with shown_stage(console, "reading the scores"):
        tables = tabulate(manifest.results())
    if answers is None:
        _write_test(tables, rows or ())
    else:
        _take_answers(tables, manifest, answers)


def _write_test(tables: ReportTables, rows: Sequence[str]) -> None:
    """Write the page of a test of some rows, and print what to do with it."""
    from bench.report.listening_test import write_listening_test

    page, key = write_listening_test(tables, HERE, rows)
    heard = [one.label for one in key.stimuli]
    print(f"{len(key.trials)} tracks, {len(heard)} signals each: {'; '.join(heard)}")
    if not tables.results.shares_audio:
        print(
            f"the licence of {tables.results.corpus['title']} does not allow its audio to be "
            "passed on: do not publish the page"
        )
    name = tables.results.experiment.name
    print(f"give this file to each listener: {page}")
    print(f"then: bench listen {name} --answers FOLDER, with the files that they save")


def _take_answers(tables: ReportTables, manifest: Manifest, answers: Path) -> None:
    """Put the answers of all listeners into the report, and print the mean ratings."""
    from bench.report.numbers import rating
    from bench.report.ratings import FORGIVEN, LEAST_OF_REFERENCE, listening_result
    from bench.report.write import write_report
    from bench.store.ratings import read_ratings, take_answers

    experiment = manifest.experiment.name
    cells = [folder.cell.fingerprint for folder in manifest.folders]
    try:
        before = read_ratings(HERE.runs, experiment, cells)
    except BenchError:
        before = None  # damaged; the answers replace it
    ratings = take_answers(HERE.runs, experiment, answers)
    folder = write_report(tables, HERE)
    replaced = f", in place of {len(before['ratings'])}" if before else ""
    n = len(ratings)
    print(f"answers of {n} listener{'' if n == 1 else 's'} taken in{replaced}")
    facts = {"listening": read_ratings(HERE.runs, experiment, cells)}
    result = listening_result(tables, facts)
    if result is not None and result.n_left_out:
        print(
            f"{result.n_left_out} left out: they rated the hidden reference below "
            f"{LEAST_OF_REFERENCE} in more than {100 * FORGIVEN:.0f} % of the tracks"
        )
    for stimulus in result.stimuli if result and result.n_listeners else ():
        print(f"{rating(stimulus.mean):>6}  {stimulus.label}")
    print(f"report: {folder}/index.html")
