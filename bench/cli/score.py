"""``bench score``: estimates that were made elsewhere, scored from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import HERE, DataOption, IntoOption, RecordOption, complete_dataset
from bench.cli.tables import finish_external


def score(
    references: Annotated[
        str,
        typer.Argument(
            help="A folder of <track>/{vocals,accompaniment}.wav, or a dataset.",
            autocompletion=complete_dataset,
        ),
    ],
    estimates: Annotated[Path, typer.Argument(help="A folder of the same layout.")],
    protocol: Annotated[
        list[str] | None, typer.Option(help="Scoring protocol, repeatable; bss_eval_v3 if none.")
    ] = None,
    label: Annotated[str | None, typer.Option("--as", help="The row's name.")] = None,
    into: IntoOption = None,
    record: RecordOption = False,
    museval_json: Annotated[
        Path | None, typer.Option(help="Write museval's JSON there too, a file a track.")
    ] = None,
    data: DataOption = Path("data"),
) -> None:
    """Score estimates that were made elsewhere, from WAV or FLAC files."""
    from bench.datasets.references import find_references
    from bench.store.external import score_estimates

    protocols = protocol or (["museval"] if museval_json else ["bss_eval_v3"])
    if museval_json and "museval" not in protocols:
        protocols = [*protocols, "museval"]
    console = Console()
    with console.status("scoring") as status:
        row = score_estimates(
            HERE.runs,
            find_references(references, data),
            estimates,
            protocols,
            label or estimates.resolve().name,
            into,
            lambda n_done, n: status.update(f"scoring track {n_done + 1}/{n}"),
        )
    if museval_json:
        from bench.scoring import museval_json as files

        scores = row.folder.scores("museval")
        if scores is not None:
            n_files = len(files.write(scores, museval_json))
            print(f"museval's JSON: {n_files} tracks in {museval_json}")
    finish_external(console, row, record or into is not None)
