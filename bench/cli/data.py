"""``bench data``: the corpora on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.options import DataOption, complete_dataset

data_app = typer.Typer(help="The corpora on this machine.", no_args_is_help=True)


@data_app.callback()
def data() -> None:
    """Look at the corpora on this machine."""


_Name = Annotated[
    str,
    typer.Argument(
        help="A dataset's name, see bench list datasets.", autocompletion=complete_dataset
    ),
]


@data_app.command("export")
def export_mixtures(
    name: _Name,
    folder: Annotated[Path, typer.Argument(help="The folder to write, which must not exist yet.")],
    data: DataOption = Path("data"),
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
) -> None:
    """Write the mixtures of a corpus as WAV files, for a system of your own to separate."""
    from bench.datasets import open_dataset
    from bench.datasets.mixtures import write_mixtures

    corpus, console = open_dataset(name, data), Console()
    with console.status("writing") as status:
        n_tracks = write_mixtures(
            corpus, split, folder, lambda done, n: status.update(f"writing {done + 1}/{n}")
        )
    console.print(
        Text(
            f"{n_tracks} mixtures: {folder}/<track>/mixture.wav\n"
            f"Cite: {corpus.CITATION}\nLicence: {corpus.LICENCE}."
        )
    )


@data_app.command("check")
def check_data(name: _Name, data: DataOption = Path("data")) -> None:
    """Check a corpus for files that are missing or damaged; exit status 1 if there are any."""
    from bench.datasets import open_dataset
    from bench.datasets.check import check_corpus

    console = Console()
    corpus = open_dataset(name, data)
    with console.status("reading") as status:
        states = check_corpus(
            corpus, lambda split, done, n: status.update(f"reading {split} {done + 1}/{n}")
        )
    table = Table("split", "here", "complete", "missing", "damaged", title=corpus.TITLE, box=None)
    for state in states:
        full = "–" if state.n_full is None else str(state.n_full)
        missing = "–" if state.n_full is None else str(state.n_missing)
        table.add_row(state.split, str(len(state.names)), full, missing, str(len(state.damaged)))
    console.print(table)
    for state in states:
        if state.missing:
            console.print(Text(f"missing in {state.split}: {', '.join(state.missing)}"))
        for reason in state.damaged.values():
            console.print(Text(f"damaged in {state.split}: {reason}"))
        if state.n_unlabelled:
            unlabelled = f"{state.n_unlabelled} of {len(state.names)} tracks in {state.split}"
            console.print(
                Text(
                    f"no labels of pitch: {unlabelled}; methods that use labels take the pitch "
                    f"found in the true voice there. Labels are expected in {corpus.LABELS}"
                )
            )
    if any(state.n_missing for state in states):
        console.print(Text(f"to get what is missing: {corpus.SOURCE}"))
    console.print(Text(f"Cite: {corpus.CITATION}\nLicence: {corpus.LICENCE}."))
    raise typer.Exit(1 if any(state.damaged or state.n_missing for state in states) else 0)
