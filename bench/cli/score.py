"""``bench score``: estimates that were made elsewhere, scored from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli.options import HERE, DataOption, IntoOption, RecordOption, complete_dataset
from bench.cli.tables import finish_external
from bench.cli.warn import warn


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
        list[str] | None,
        typer.Option(
            help="Scoring protocol; repeatable. Default: bss_eval_v3, or museval with "
            "--museval-json."
        ),
    ] = None,
    label: Annotated[str | None, typer.Option("--as", help="The row's name.")] = None,
    into: IntoOption = None,
    record: RecordOption = False,
    museval_json: Annotated[
        Path | None, typer.Option(help="Write museval's JSON there too, a file a track.")
    ] = None,
    any_length: Annotated[
        bool, typer.Option("--any-length", help="Fill or cut estimates of another length.")
    ] = False,
    data: DataOption = Path("data"),
) -> None:
    """Score estimates that were made elsewhere, from WAV or FLAC files."""
    from bench.datasets.folder import track_names
    from bench.datasets.references import find_references
    from bench.store.external import score_estimates

    protocols = protocol or (["museval"] if museval_json else ["bss_eval_v3"])
    if museval_json and "museval" not in protocols:
        protocols = [*protocols, "museval"]
    console = Console()
    tracks = find_references(references, data)
    strangers = sorted(set(track_names(estimates)) - set(tracks.names))
    if strangers:
        named = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        warn(
            f"{len(strangers)} folder(s) in {estimates} match no track of the references and are "
            f"not scored: {named}"
        )
    with console.status("scoring") as status:
        row = score_estimates(
            HERE,
            tracks,
            estimates,
            protocols,
            label or estimates.resolve().name,
            into,
            lambda n_done, n: status.update(f"scoring track {n_done + 1}/{n}"),
            any_length,
        )
    if museval_json:
        from bench.scoring import museval_json as files

        scores = row.folder.scores("museval")
        if scores is not None:
            n_files = len(files.write(scores, museval_json))
            print(f"museval's JSON: {n_files} tracks in {museval_json}")
    finish_external(console, row.manifest, record or into is not None, row.folder)
