"""A method for music of any rate and length: the one way from a loaded method to its estimates.

A method that was trained at another rate is given the music resampled by soxr. Its voice is
resampled back, and the accompaniment is the mixture less the voice, so that both always add up. A
long song is separated in overlapping chunks, see `bench.methods.chunks`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np

from bench.errors import BenchError
from bench.methods import chunks
from bench.methods.oracle import Oracle
from bench.methods.separator import Separator
from bench.track import Audio, check_audio

log = logging.getLogger(__name__)


class SongSeparator:
    """A method that separates audio of any rate and length.

    Parameters
    ----------
    method
        A method that is trained, or that learns nothing.
    name
        Name of the method in messages.

    Attributes
    ----------
    rate
        Sampling rate in hertz of the music on which the method was trained; None where it takes
        any rate.

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.method!r})"

    def separate(self, mixture: Audio, rate: int) -> dict[str, Audio]:
        """Separate audio of any length.

        Parameters
        ----------
        mixture
            ``(channels, samples)``, never changed.
        rate
            Sampling rate in hertz. A mixture of another rate than the training is resampled.

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
        voice = chunks.separate_mixture(self.for_rate(rate), mixture, rate)["vocals"]
        return {"vocals": voice, "accompaniment": mixture - voice}

    def for_rate(self, rate: int) -> chunks.Method:
        """Return the method for music of a rate in hertz; log where that means resampling."""
        if self.rate is None or self.rate == rate:
            return self.method
        text = f"{self.name} was trained at {self.rate} Hz: {rate} Hz are resampled"
        if self.rate < rate:
            text += f", and nothing above {self.rate // 2} Hz can be voice"
        log.info(text)
        return Resampling(self.method, self.rate)


class Resampling:
    """A method that is given music resampled to the rate at which it was trained.

    Parameters
    ----------
    method
        The trained method.
    rate
        Sampling rate of its training in hertz.
    """

    def __init__(self, method: Separator, rate: int) -> None:
        self.method, self.rate = method, rate

    def alignment(self, rate: int) -> int:
        """Return the number of samples at whose multiples a chunk may begin at both rates."""
        per_step = self.rate // math.gcd(self.rate, rate)
        own = chunks.guarded(self.method, "alignment", lambda: self.method.alignment(self.rate))
        return math.lcm(own, per_step) * rate // self.rate

    def lookahead(self, rate: int) -> int:
        """Return the method's lookahead at the rate of the song; see `Separator.lookahead`."""
        own = chunks.guarded(self.method, "lookahead", lambda: self.method.lookahead(self.rate))
        return -(-own * rate // self.rate)

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return the method prepared for a song; see `Separator.for_song`."""
        resampled = self._resampled(blocks, rate)
        method = chunks.guarded(
            self.method, "for_song", lambda: self.method.for_song(resampled, self.rate)
        )
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
        """Separate a chunk; the accompaniment is the mixture less the resampled voice."""
        import soxr

        resampled = np.ascontiguousarray(soxr.resample(mixture.T, rate, self.rate).T)
        if resampled.shape[1] == 0:  # shorter than one sample of the other rate
            resampled = mixture[:, :1]
        voice = chunks.estimates_of(self.method, resampled, self.rate)["vocals"]
        back = soxr.resample(voice.T, self.rate, rate).T[:, : mixture.shape[1]]
        back = np.pad(back, ((0, 0), (0, mixture.shape[1] - back.shape[1])))
        return {"vocals": back, "accompaniment": mixture - back}
