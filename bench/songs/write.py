"""Estimates as files, which appear whole at the end or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench import audio
from bench.errors import BenchError
from bench.track import Audio

Suffix = Literal["wav", "flac"]
Bits = Literal[16, 24, 32]


@dataclass(frozen=True)
class Format:
    """The format of the files of estimates.

    Attributes
    ----------
    suffix
        ``wav`` or ``flac``.
    bits
        Bits of a sample: 16 or 24 for integers, 32 for floats in WAV, which never clip.

    Raises
    ------
    BenchError
        FLAC of 32 bits, which it does not hold.
    """

    suffix: Suffix = "wav"
    bits: Bits = 32

    def __post_init__(self) -> None:
        if self.suffix == "flac" and self.bits == 32:
            raise BenchError("FLAC holds samples of 16 or 24 bits, not 32: write WAV")

    @property
    def step(self) -> float:
        """Difference between two neighbouring integers of full scale 1; 0 for floats."""
        return 0.0 if self.bits == 32 else 2.0 ** (1 - self.bits)

    @property
    def subtype(self) -> str:
        """The name of the sample format in soundfile."""
        return "FLOAT" if self.bits == 32 else f"PCM_{self.bits}"


#: WAV of 32 bit floats.
FLOATS = Format()


def added_up(mixture: Audio, voice: Audio, form: Format, song: Path) -> tuple[Audio, Audio]:
    """Return voice and accompaniment as they will be written: they add up to the mixture.

    Integers hold no more than full scale, so the voice gives way where it, or what it leaves, would
    not fit. A mixture with finer steps than theirs is rounded first.
    """
    step = form.step
    if not step:
        voice = voice.astype(np.float32).astype(np.float64)
        return voice, mixture - voice
    if np.abs(mixture).max() > 1.0:
        raise BenchError(
            f"{song} goes beyond full scale, which {form.bits} bit integers cannot hold: write WAV "
            "of 32 bits"
        )
    mixture = np.round(mixture / step) * step
    low, high = np.maximum(-1.0, mixture - 1.0 + step), np.minimum(1.0 - step, mixture + 1.0)
    voice = np.round(np.clip(voice, low, high) / step) * step
    return voice, mixture - voice


@contextlib.contextmanager
def open_targets(
    targets: dict[str, Path], head: audio.Header, form: Format
) -> Iterator[Callable[[Audio, Audio], None]]:
    """Yield a function that appends voice and accompaniment, ``(channels, samples)`` each.

    The files appear whole when the context ends without an error, or not at all.

    Parameters
    ----------
    targets
        File of each target.
    head
        Header of the song: rate in hertz, channels and samples.
    form
        The format of the files.

    Raises
    ------
    BenchError
        The folder cannot be written.
    """
    import soundfile

    # A plain WAV file ends at 4 GiB.
    large = head.n_samples * head.n_channels * form.bits // 8 > 0xFFFF0000
    container = "FLAC" if form.suffix == "flac" else "RF64" if large else "WAV"
    parts = {t: path.with_name(f".{path.name}.{os.getpid()}.part") for t, path in targets.items()}
    folder = targets["vocals"].parent
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            files = [
                stack.enter_context(
                    soundfile.SoundFile(
                        part, "w", head.rate, head.n_channels, form.subtype, format=container
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
