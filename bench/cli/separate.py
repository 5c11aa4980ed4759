"""``bench separate``: a song through a method."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.cli.options import complete_method
from bench.errors import BenchError


def separate(
    songs: Annotated[list[Path], typer.Argument(help="Files that soundfile or ffmpeg reads.")],
    method: Annotated[
        str,
        typer.Option(
            "--with",
            autocompletion=complete_method,
            help="A method's name, an MLflow run (runs:/ID) or model (models:/…), or a folder of "
            "weights.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Estimates go to OUT/SONG/.")] = Path("separated"),
    flac: Annotated[bool, typer.Option("--flac", help="Write FLAC, not WAV.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Separate songs into vocals and accompaniment, which add up to the song."""
    from bench.runner.job import device_here
    from bench.songs.load import load
    from bench.songs.separate import separate_file
    from bench.songs.write import Format

    stems = [song.stem for song in songs]
    repeated = sorted({name for name in stems if stems.count(name) > 1})
    if repeated:
        raise BenchError(f"two songs are named {repeated[0]!r}: separate them into different --out")
    loaded = load(method)
    loaded.method.to(device_here(device))
    suffix: Format = "flac" if flac else "wav"
    n_failed = 0
    for song in songs:
        try:
            with _log_on_terminal(), _progress_bar() as bar:
                task = bar.add_task(song.name, total=1.0)

                def update(share: float, bar: Progress = bar, task: TaskID = task) -> None:
                    bar.update(task, completed=share)

                separated = separate_file(loaded, song, out, suffix, update)
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            n_failed += 1
            continue
        print(
            f"{song.name}: {separated.audio_s:.1f} s of music in {separated.wall_s:.1f} s, "
            f"real-time factor {separated.real_time_factor:.2f}: {separated.folder}"
        )
    raise typer.Exit(2 if n_failed else 0)


@contextlib.contextmanager
def _log_on_terminal() -> Iterator[None]:
    """Print what is logged, such as that a song is resampled, to the standard error."""
    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("bench")
    handler.setFormatter(logging.Formatter("bench: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _progress_bar() -> Progress:
    """Return a progress bar for one song."""
    console = Console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
