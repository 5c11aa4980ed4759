"""Estimates as files, which appear whole at the end or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from bench import audio
from bench.errors import BenchError
from bench.track import Audio

Format = Literal["wav", "flac"]
#: Sample format of each file format: floats, which never clip; FLAC holds at most 24 bit integers.
SUBTYPES = {"wav": "FLOAT", "flac": "PCM_24"}
#: Step between two values of a 24 bit sample.
STEP = 2.0**-23


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


@contextlib.contextmanager
def written(
    targets: dict[str, Path], head: audio.Header, suffix: str
) -> Iterator[Callable[[Audio, Audio], None]]:
    """Yield a function that appends voice and accompaniment, ``(channels, samples)`` each.

    The files appear whole when the context ends without an error, or not at all.

    Parameters
    ----------
    targets
        File of each target.
    head
        Header of the song: rate in hertz, channels and samples.
    suffix
        ``wav`` or ``flac``.

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
    is_new = not folder.exists()
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
        reason = audio.failure_reason(error)
        raise BenchError(f"{folder} cannot be written: {reason}") from None
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty where all went well
                folder.rmdir()
