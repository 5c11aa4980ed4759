"""``bench separate``: a song through a method."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from bench.cli.options import HERE, complete_method
from bench.cli.warn import warn
from bench.errors import BenchError

#: Endings of the files in a folder that are taken as songs.
SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".mp4", ".aif", ".aiff", ".w64",
)  # fmt: skip
#: Rate in hertz of a song whose header is not read before it is decoded.
COMMON_RATE = 44_100


def separate(
    songs: Annotated[
        list[Path],
        typer.Argument(help="Files that soundfile or ffmpeg reads, or folders of them."),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            "--with",
            autocompletion=complete_method,
            help="A method's name, an MLflow run (runs:/ID) or model (models:/…), or a folder of "
            "weights. Default: the best trained run of this folder, or a method without training.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Estimates go to OUT/SONG/.")] = Path("separated"),
    flac: Annotated[bool, typer.Option("--flac", help="Write FLAC, not WAV.")] = False,
    bits: Annotated[
        int | None,
        typer.Option(help="16, 24 or (WAV alone) 32 bits a sample. Default: WAV 32, FLAC 24."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Separate songs into vocals and accompaniment, which add up to the song."""
    # A second thread takes twice the processor time, saves none, and waits on a busy machine. Its
    # limit is read by the libraries that are loaded from here on, and set for those that are here.
    os.environ.update({f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")})
    import threadpoolctl
    import torch

    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)
    from bench.runner.job import device_here
    from bench.songs.load import load
    from bench.songs.separate import separate_file
    from bench.songs.write import Format

    if bits not in (None, 16, 24, 32):
        raise BenchError(f"--bits {bits} is no width of samples here; give 16, 24 or 32")
    form = Format("flac" if flac else "wav", cast(Any, bits) or (24 if flac else 32))
    songs = _files(songs)
    stems = [song.stem for song in songs]
    repeated = sorted({name for name in stems if stems.count(name) > 1})
    if repeated:
        raise BenchError(f"two songs are named {repeated[0]!r}: separate them into different --out")
    if method is None:
        method, why = _choose(songs)
        print(why)
    loaded = load(method)
    loaded.method.to(device_here(device))
    n_failed = 0
    for song in songs:
        try:
            with _log_on_terminal(), _progress_bar() as bar:
                task = bar.add_task(song.name, total=1.0, left="")

                def update(share: float, bar: Progress = bar, task: TaskID = task) -> None:
                    bar.update(task, completed=share, left=_left_text(bar, task, share))

                separated = separate_file(loaded, song, out, form, update)
        except BenchError as error:
            warn(error)
            n_failed += 1
            continue
        print(
            f"{song.name}: {separated.audio_s:.1f} s of music in {separated.wall_s:.1f} s, "
            f"real-time factor {separated.real_time_factor:.2f}: {separated.folder}"
        )
    raise typer.Exit(2 if n_failed else 0)


def _files(songs: list[Path]) -> list[Path]:
    """Return the songs, those in a folder in its place.

    Raises
    ------
    BenchError
        A folder holds no song.
    """
    files = []
    for song in songs:
        inside = [song]
        if song.is_dir():
            inside = sorted(path for path in song.iterdir() if _is_song(path))
            if not inside:
                raise BenchError(f"{song} holds no song: no file that ends in {' '.join(SUFFIXES)}")
        files += inside
    return files


def _is_song(path: Path) -> bool:
    """Tell whether a path in a folder is a song: a file that is not hidden, by its ending."""
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")


def _choose(songs: list[Path]) -> tuple[str, str]:
    """Return the method for songs, by the highest of their rates, and why it is taken.

    See `bench.songs.choose`.
    """
    from bench import audio
    from bench.songs.choose import chosen_method

    def rate(song: Path) -> int:
        try:
            return audio.header(song).rate
        except BenchError:  # soundfile does not read it; it is decoded, or refused, later
            return COMMON_RATE

    return chosen_method(HERE, max(map(rate, songs)))


def _left_text(bar: Progress, task: TaskID, share: float) -> str:
    """Return the time that a song still needs, at the pace so far."""
    from bench.store.status import duration_text

    elapsed = next(one.elapsed for one in bar.tasks if one.id == task) or 0.0
    return f"about {duration_text(elapsed * (1 - share) / share)} left" if 0 < share < 1 else ""


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
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
