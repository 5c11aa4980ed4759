"""Audio files as soundfile reads them: what their headers say, and any part of their samples."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.track import MOST_CHANNELS, Audio

#: What a RIFF header declares where its writer did not know the size.
_UNKNOWN_SIZE = 0xFFFFFFFF
#: Sampling rates in hertz between which a file is believed.
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000


class CutShortError(BenchError):
    """A file that is shorter than its header declares."""


@dataclass(frozen=True)
class Header:
    """What a file says of its audio: rate in hertz, channels, samples of each, and its format."""

    rate: int
    n_channels: int
    n_samples: int
    format: str = field(default="", compare=False)


def header(path: Path) -> Header:
    """Return what the header of a file says.

    Raises
    ------
    BenchError
        The file is missing, is no audio that soundfile knows, or is shorter than it declares.
    """
    import soundfile

    info: Any = reading(path, soundfile.info)
    if path.stat().st_size < declared_size(path):
        raise CutShortError(f"{path} is cut short")
    n_samples, rate, n_channels = int(info.frames), int(info.samplerate), int(info.channels)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or n_channels > MOST_CHANNELS:
        raise BenchError(
            f"{path} declares {n_channels} channels at {rate} Hz; audio has at most "
            f"{MOST_CHANNELS} at {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        )
    return Header(rate, n_channels, n_samples, str(info.format))


def read_audio(path: Path, start: int = 0, n_samples: int = -1) -> Audio:
    """Return `n_samples` from `start`, all by default: float64 ``(channels, samples)``.

    Raises
    ------
    BenchError
        The file cannot be read.
    """
    import soundfile

    def part(path: str) -> Any:
        return soundfile.read(path, n_samples, start, dtype="float64", always_2d=True)

    samples, _ = reading(path, part)
    audio: Audio = samples.T.copy()
    return audio


def reading(path: Path, action: Any) -> Any:
    """Return the result of `action` on the path of a file.

    Raises
    ------
    BenchError
        The action failed: one line with the file and the reason.
    """
    import soundfile

    try:
        return action(str(path))
    except MemoryError:
        raise BenchError(f"{path} cannot be read (it needs more memory than there is)") from None
    except (OSError, RuntimeError, soundfile.SoundFileError) as error:
        reason = failure_reason(error) if path.exists() else "no such file"
        raise BenchError(f"{path} cannot be read ({reason.strip().rstrip('.')})") from None


def failure_reason(error: Exception) -> str:
    """Return why the system or soundfile could not read or write a file, without its path."""
    import soundfile

    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string)
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error)


def declared_size(path: Path) -> int:
    """Return the file size that a RIFF header declares, in bytes: libsndfile reads past a cut.

    0 where it declares none.
    """
    with path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:8], "little")
    return size + 8 if head[:4] == b"RIFF" and size != _UNKNOWN_SIZE else 0
