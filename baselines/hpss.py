"""Harmonic/percussive separation twice: a voice is neither steady nor a click.

    voice = harmonic part in short windows of (percussive part in long windows of the mixture)

above 100 Hz; see `algorithms.harmonic_percussive`. It separates a voice as far as its pitch moves
and the accompaniment's does not.

Differences from the paper: librosa's medians and soft masks; windows and medians are those that
separate training songs held out best (`experiments/select_hpss.yaml`).

References
----------
FitzGerald, Gainza: Single channel vocal separation using median filtering and factorisation
techniques, ISAST Transactions 4(1), 2010 (two stages).
FitzGerald: Harmonic/percussive separation using median filtering, DAFx 2010 (the masks).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from baselines.algorithms.harmonic_percussive import (
    KERNEL,
    LONG_MS,
    SHORT_MS,
    alignment,
    lookahead,
    two_stage_voice,
)
from bench.errors import BenchError
from bench.methods.separator import Separator, check_mixture, separator
from bench.track import Audio


@separator
class HPSS(Separator):
    """Two-stage harmonic/percussive separation.

    Parameters
    ----------
    long_ms, short_ms
        Windows of the two stages in milliseconds, each rounded to the nearest power of two.
    kernel
        Length of the medians in bins and in frames, odd.
    """

    VERSION: ClassVar[int] = 2

    long_ms: float = Field(LONG_MS, gt=0)
    short_ms: float = Field(SHORT_MS, gt=0)
    kernel: int = Field(KERNEL, ge=3)

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise BenchError(f"kernel must be odd, such as {self.kernel + 1}: {self.kernel}")

    def alignment(self, rate: int) -> int:
        """Return the samples at whose multiples the frames of all transforms begin."""
        return alignment(rate, self.long_ms, self.short_ms)

    def lookahead(self, rate: int) -> int:
        """Return the number of samples that the medians look ahead."""
        return lookahead(rate, self.long_ms, self.short_ms, self.kernel)

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate a mixture; what is not voice is accompaniment. See `Separator.separate`."""
        check_mixture(mixture, rate, self)
        voice = two_stage_voice(mixture, rate, self.long_ms, self.short_ms, self.kernel)
        return {"vocals": voice, "accompaniment": mixture - voice}
