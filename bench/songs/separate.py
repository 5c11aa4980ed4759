"""Song files through a method: any format, rate, length and number of channels.

A song is read one chunk at a time and its estimates are written as they come, so that memory does
not grow with its length.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.methods import chunks
from bench.methods.song import SongSeparator
from bench.songs.decode import checked_reader, readable
from bench.songs.write import FLOATS, Format, added_up, open_targets
from bench.track import TARGETS


@dataclass(frozen=True)
class SeparatedSong:
    """A song that was separated into files.

    Attributes
    ----------
    folder
        Folder of the estimates.
    audio_s, wall_s
        Length of the song and time of its separation in seconds.
    """

    folder: Path
    audio_s: float
    wall_s: float

    @property
    def real_time_factor(self) -> float:
        """Time of separation divided by the length of the song."""
        return self.wall_s / self.audio_s


def separate_file(
    method: SongSeparator,
    song: Path,
    out: Path,
    form: Format = FLOATS,
    report_progress: Callable[[float], None] = lambda share: None,
) -> SeparatedSong:
    """Separate one file into ``out/<its name>/vocals`` and ``accompaniment``.

    Parameters
    ----------
    method
        The method.
    song
        A file that soundfile or ffmpeg reads.
    out
        The folder below which each song has a folder of its own.
    form
        The format of the files.
    report_progress
        Called with the finished share of the song, up to 1.

    Raises
    ------
    BenchError
        The song cannot be read or separated, or the estimates cannot be written. Nothing is left
        half-written.
    """
    if song.stem.strip(".") == "":
        raise BenchError(f"{song} has no name that a folder can have; rename it")
    folder = out / song.stem
    targets = {t: folder / f"{t}.{form.suffix}" for t in TARGETS}
    if any(path.exists() and path.samefile(song) for path in targets.values() if song.exists()):
        raise BenchError(f"{song} would be written over; choose another --out")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path, head = readable(song, Path(scratch))
        read = checked_reader(path, song)
        size = (head.n_channels, head.n_samples, head.rate)
        segments = chunks.stream(method.for_rate(head.rate), read, *size)
        with open_targets(targets, head, form) as write:
            n_done = 0
            for estimates in segments:
                voice = estimates["vocals"]
                mixture = read(n_done, voice.shape[1])
                write(*added_up(mixture, voice, form, song))
                n_done += voice.shape[1]
                report_progress(n_done / head.n_samples)
    return SeparatedSong(folder, head.n_samples / head.rate, time.perf_counter() - start)
