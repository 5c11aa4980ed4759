"""Songs as files: read directly where soundfile can, else decoded first by ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from bench import audio
from bench.errors import BenchError
from bench.methods import chunks
from bench.track import Audio, check_audio

#: Formats whose headers only estimate the length, and which cannot be read from an exact sample.
_LOSSY = ("MP3", "OGG")


def checked_reader(path: Path, song: Path) -> chunks.Read:
    """Return a function that reads a part of a song.

    Parameters
    ----------
    path
        File that soundfile reads.
    song
        The song as the user named it, for messages.

    Returns
    -------
    callable
        Function of a first sample and a number of samples that returns audio
        ``(channels, samples)``. It raises `BenchError` where the file ends early or a sample is
        not finite.
    """

    def read(start: int, n_samples: int) -> Audio:
        samples = audio.read_audio(path, start, n_samples)
        if samples.shape[1] != n_samples:
            raise BenchError(f"{song} is cut short: it ends before its header says")
        check_audio(samples, str(song))
        return samples

    return read


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
        if head.format in _LOSSY:
            path = _unpack(song, head, scratch)
            head = audio.header(path)
    except audio.CutShortError:
        raise
    except BenchError:
        path = _decode(song, scratch)
        head = audio.header(path)
    if head.n_samples < 1:
        raise BenchError(f"{song} holds no samples")
    return path, head


def _unpack(song: Path, head: audio.Header, scratch: Path) -> Path:
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


def _decode(song: Path, scratch: Path) -> Path:
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
