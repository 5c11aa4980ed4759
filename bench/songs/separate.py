"""A method put to use: songs of any format, rate, length and number of channels.

A song is read a piece at a time and its estimates are written as they come, so that memory does
not grow with its length. What soundfile cannot read is decoded first by ffmpeg, into a scratch
file. A method that was trained at another rate hears the song resampled by soxr; its voice is
resampled back, and the accompaniment is the song less the voice, so that both always add up.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from bench import audio
from bench.errors import BenchError
from bench.methods import chunks
from bench.methods.oracle import Oracle
from bench.methods.separator import Separator
from bench.track import Audio, check_audio

log = logging.getLogger(__name__)

Format = Literal["wav", "flac"]
#: What is written: floats, which never clip; FLAC holds integers of 24 bits at most.
SUBTYPES = {"wav": "FLOAT", "flac": "PCM_24"}
#: Formats whose headers guess the length, and in which a place is not found to the sample.
LOSSY = ("MP3", "OGG")
#: Of a FLAC sample.
STEP = 2.0**-23


class SongSeparator:
    """A method that takes audio of any rate and length.

    Parameters
    ----------
    method
        Trained, if it learns.
    name
        How to name it in messages.

    Attributes
    ----------
    rate
        Hertz of the music that it was trained on; None where it takes any.

    Raises
    ------
    BenchError
        The method is a bound, which needs the true sources.
    """

    def __init__(self, method: Separator, name: str) -> None:
        if isinstance(method, Oracle):
            raise BenchError(f"{name} is a bound made from the true sources; it separates no song")
        self.method, self.name = method, name
        self.rate: int | None = method.learned().get("rate_")

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate audio of any length.

        Parameters
        ----------
        mixture
            ``(channels, samples)``, never changed.
        rate
            Sampling rate in hertz; resampled where the method was trained at another one.

        Returns
        -------
        dict
            ``vocals`` and ``accompaniment`` in the mixture's shape; they add up to it.

        Raises
        ------
        BenchError
            Audio that is empty or not finite.
        """
        mixture = np.asarray(mixture, dtype=np.float64)
        check_audio(mixture, "the mixture")
        voice = chunks.separate(self.at(rate), mixture, rate)["vocals"]
        return {"vocals": voice, "accompaniment": mixture - voice}

    def at(self, rate: int) -> chunks.Method:
        """Return what separates music of a rate, and say so where that means resampling."""
        if self.rate in (None, rate):
            return self.method
        log.info("%s was trained at %d Hz: %d Hz are resampled", self.name, self.rate, rate)
        return Resampling(self.method, int(self.rate or rate))


class Resampling:
    """A method that hears music resampled to the rate that it was trained at."""

    def __init__(self, method: Separator, rate: int) -> None:
        self.method, self.rate = method, rate

    def alignment(self, rate: int) -> int:
        """Return the samples on whose multiples a piece begins in step at both rates."""
        per_step = self.rate // math.gcd(self.rate, rate)
        return math.lcm(self.method.alignment(self.rate), per_step) * rate // self.rate

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return the method prepared for a song; see `Separator.for_song`."""
        method = self.method.for_song(self._resampled(blocks, rate), self.rate)
        return type(self)(method, self.rate)

    def _resampled(self, blocks: Iterable[Audio], rate: int) -> Iterator[Audio]:
        import soxr

        stream = None
        for block in blocks:
            if stream is None:
                stream = soxr.ResampleStream(rate, self.rate, len(block), dtype="float64")
            yield np.ascontiguousarray(stream.resample_chunk(block.T).T)
        if stream is not None:
            rest = stream.resample_chunk(np.zeros((0, len(block))), last=True)
            yield np.ascontiguousarray(rest.T)

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate a piece; its voice is resampled back, the accompaniment is what that leaves."""
        import soxr

        heard = np.ascontiguousarray(soxr.resample(mixture.T, rate, self.rate).T)
        if heard.shape[1] == 0:  # shorter than one sample of the other rate
            heard = mixture[:, :1]
        voice = self.method.separate(heard, self.rate)["vocals"]
        back = soxr.resample(voice.T, self.rate, rate).T[:, : mixture.shape[1]]
        back = np.pad(back, ((0, 0), (0, mixture.shape[1] - back.shape[1])))
        return {"vocals": back, "accompaniment": mixture - back}


@dataclass(frozen=True)
class Done:
    """What became of a song.

    Attributes
    ----------
    folder
        Where the estimates lie.
    audio_s, wall_s
        Seconds of music, and seconds that it took.
    """

    folder: Path
    audio_s: float
    wall_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of music."""
        return self.wall_s / self.audio_s


def separate_file(
    method: SongSeparator,
    song: Path,
    out: Path,
    suffix: Format = "wav",
    tell: Callable[[float], None] = lambda share: None,
) -> Done:
    """Separate one file into ``out/<its name>/vocals`` and ``accompaniment``.

    Parameters
    ----------
    method
        What separates.
    song
        Anything soundfile or ffmpeg reads.
    out
        The folder of all songs' folders.
    suffix
        ``wav`` (32 bit float) or ``flac`` (24 bit).
    tell
        Told which share of the song is done.

    Raises
    ------
    BenchError
        The song cannot be read or separated, or the estimates cannot be written. Nothing is left
        half-written.
    """
    folder = out / song.stem
    targets = {t: folder / f"{t}.{suffix}" for t in ("vocals", "accompaniment")}
    if any(path.exists() and path.samefile(song) for path in targets.values() if song.exists()):
        raise BenchError(f"{song} would be written over; choose another --out")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path, head = readable(song, Path(scratch))
        read = checked_reader(path, song, head)
        mix = chunks.stream(method.at(head.rate), read, head.n_channels, head.n_samples, head.rate)
        with written(targets, head, suffix) as write:
            done = 0
            for part in mix:
                voice = part["vocals"]
                mixture = read(done, voice.shape[1])
                write(*added_up(mixture, voice, suffix, song))
                done += voice.shape[1]
                tell(done / head.n_samples)
    return Done(folder, head.n_samples / head.rate, time.perf_counter() - start)


def added_up(mixture: Audio, voice: Audio, suffix: str, song: Path) -> tuple[Audio, Audio]:
    """Return voice and accompaniment as they will be written: they add up to the mixture.

    Integers of FLAC hold no more than full scale, so the voice gives way where it, or what it
    leaves, would not fit.
    """
    if suffix == "flac":
        if np.abs(mixture).max() > 1.0:
            raise BenchError(f"{song} goes beyond full scale, which FLAC cannot hold: write WAV")
        low, high = np.maximum(-1.0, mixture - 1.0 + STEP), np.minimum(1.0 - STEP, mixture + 1.0)
        voice = np.round(np.clip(voice, low, high) / STEP) * STEP
    else:
        voice = voice.astype(np.float32).astype(np.float64)
    return voice, mixture - voice


def checked_reader(path: Path, song: Path, head: audio.Header) -> chunks.Read:
    """Return what reads a part of a song and refuses samples that are not finite."""

    def read(start: int, n_samples: int) -> Audio:
        found = audio.read(path, start, n_samples)
        if found.shape[1] != n_samples:
            raise BenchError(f"{song} is cut short: it ends before its header says")
        check_audio(found, str(song))
        return found

    return read


@contextlib.contextmanager
def written(
    targets: dict[str, Path], head: audio.Header, suffix: str
) -> Iterator[Callable[[Audio, Audio], None]]:
    """Give what appends to the files of both targets; they appear whole at the end, or not at all.

    Raises
    ------
    BenchError
        The folder cannot be written.
    """
    import soundfile

    # A plain WAV file ends at 4 GiB.
    large = head.n_samples * head.n_channels * 4 > 0xFFFF0000
    form = "FLAC" if suffix == "flac" else "RF64" if large else "WAV"
    parts = {t: path.with_name(f".{path.name}.{os.getpid()}.part") for t, path in targets.items()}
    folder = targets["vocals"].parent
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            files = [
                stack.enter_context(
                    soundfile.SoundFile(
                        part, "w", head.rate, head.n_channels, SUBTYPES[suffix], format=form
                    )
                )
                for part in parts.values()
            ]

            def write(*signals: Audio) -> None:
                for file, signal in zip(files, signals, strict=True):
                    file.write(np.ascontiguousarray(signal.T))

            yield write
        for target, path in targets.items():
            parts[target].replace(path)
    except (OSError, soundfile.SoundFileError) as error:
        reason = getattr(error, "strerror", None) or str(error).rpartition(": ")[2]
        raise BenchError(f"{folder} cannot be written: {reason}") from None
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        if made:
            with contextlib.suppress(OSError):  # it is not empty where all went well
                folder.rmdir()


def readable(song: Path, scratch: Path) -> tuple[Path, audio.Header]:
    """Return a file that soundfile reads, the song or its decoding in `scratch`, and its header.

    Raises
    ------
    BenchError
        There is no such file, neither soundfile nor ffmpeg reads it, or it holds no samples.
    """
    if not song.is_file():
        kind = "is a folder; name the files in it" if song.is_dir() else "does not exist"
        raise BenchError(f"{song} {kind}")
    if song.stat().st_size == 0:
        raise BenchError(f"{song} is empty")
    path = song
    try:
        head = audio.header(song)
        if head.format in LOSSY:
            path = unpacked(song, head, scratch)
            head = audio.header(path)
    except BenchError as error:
        if "cut short" in str(error):
            raise
        path = decoded(song, scratch)
        head = audio.header(path)
    if head.n_samples < 1:
        raise BenchError(f"{song} holds no samples")
    return path, head


def unpacked(song: Path, head: audio.Header, scratch: Path) -> Path:
    """Return a file decoded by soundfile from its start to its end, to 32 bit floats.

    Raises
    ------
    BenchError
        It cannot be decoded.
    """
    import soundfile

    path = scratch / "unpacked.wav"

    def copy(name: str) -> None:
        with soundfile.SoundFile(
            path, "w", head.rate, head.n_channels, "FLOAT", format="RF64"
        ) as out:
            for block in soundfile.blocks(name, 2**20, dtype="float32", always_2d=True):
                out.write(block)

    audio.reading(song, copy)
    return path


def decoded(song: Path, scratch: Path) -> Path:
    """Return the first audio stream of a file, decoded by ffmpeg to 32 bit floats.

    Raises
    ------
    BenchError
        ffmpeg is missing, or cannot decode the file.
    """
    if shutil.which("ffmpeg") is None:
        raise BenchError(
            f"{song} is none of soundfile's formats, and ffmpeg, which may know it, is not on the "
            "PATH: install it by your system's package manager"
        )
    path = scratch / "decoded.wav"
    command: list[Any] = ["ffmpeg", "-nostdin", "-v", "error", "-xerror"]
    command += ["-protocol_whitelist", "file", "-i", f"file:{song}"]  # no playlist leads outside
    command += ["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-rf64", "auto", path]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0 or not path.is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1].replace(f"file:{song}", "it") if lines else "it holds no audio"
        raise BenchError(f"{song} cannot be decoded: neither soundfile nor ffmpeg can ({reason})")
    return path
