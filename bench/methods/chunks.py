"""Long songs in overlapping pieces: memory stays flat, and where two pieces meet no seam is heard.

A song longer than a piece is cut into pieces that overlap. Of each overlap the beginning is left
to the piece before, since the next one has not heard what came before it; then one fades linearly
into the other; the end is left to the piece after. Pieces begin where the method's own frames and
states begin (`Separator.alignment`), so that a method that looks at a limited past gives in pieces
what it gives in one. One that looks at the whole song, as robust PCA does, sees a piece at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self

import numpy as np

from bench.methods.oracle import Oracle
from bench.methods.separator import Separator
from bench.track import TARGETS, Audio, Track

#: Length of a piece of stereo at 44.1 kHz; the least for more channels or a higher rate, and the
#: most for less.
CHUNK_S, SHORTEST_CHUNK_S, LONGEST_CHUNK_S = 30.0, 10.0, 60.0
#: Overlap of two pieces beyond the method's grid, and the part in which one fades to the next.
CHUNK_OVERLAP_S, FADE_S = 3.5, 0.5
#: The end of a piece, which has not heard what follows.
END_S = 1.0

Cut = tuple[int, int]
Estimates = dict[str, Audio]
Read = Callable[[int, int], Audio]


class Method(Protocol):
    """What separates pieces: a `Separator`, or one that resamples around it."""

    def alignment(self, rate: int) -> int:
        """Return the samples on whose multiples a piece may begin."""
        ...

    def lookahead(self, rate: int) -> int:
        """Return the samples after a point in time on which the estimates there depend."""
        ...

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return the method prepared for pieces of the song that `blocks` make up."""
        ...

    def separate(self, mixture: Audio, rate: int) -> Estimates:
        """Separate a piece."""
        ...


def cuts(n_samples: int, n_channels: int, rate: int, grid: int, lookahead: int = 0) -> list[Cut]:
    """Return first and last (exclusive) sample of each piece of a song; one, if it is short.

    Parameters
    ----------
    n_samples, n_channels, rate
        Of the song; hertz.
    grid
        Samples on whose multiples a piece may begin.
    lookahead
        Samples after a point in time on which the estimates there depend.

    Examples
    --------
    >>> cuts(100 * 1000, 1, 1000, 512)
    [(0, 60000), (40448, 100000)]
    """
    seconds = CHUNK_S * 2 * 44_100 / max(1, n_channels * rate)
    seconds = min(max(seconds, SHORTEST_CHUNK_S), LONGEST_CHUNK_S)
    longer = _end(rate, lookahead) - int(END_S * rate)  # at both ends: it sees as far back as ahead
    overlap = int(CHUNK_OVERLAP_S * rate) + grid + 2 * longer
    length = max(int(seconds * rate), 2 * overlap)
    if n_samples <= length:
        return [(0, n_samples)]
    step = (length - overlap) // grid * grid
    last = -(-(n_samples - length) // grid) * grid
    last = min(last, (n_samples - 1) // grid * grid)
    starts = [*range(0, last, step), last]
    return [(start, min(start + length, n_samples)) for start in starts]


def _end(rate: int, lookahead: int) -> int:
    """Return the samples at the end of a piece that are left to the piece after it."""
    return max(int(END_S * rate), lookahead)


def overlap_add(
    pieces: list[Cut],
    rate: int,
    separate: Callable[[int, int], Estimates],
    lookahead: int = 0,
) -> Iterator[Estimates]:
    """Yield the estimates of a song, a stretch at a time, from those of its pieces.

    Parameters
    ----------
    pieces
        See `cuts`.
    rate
        In hertz.
    separate
        From first and last (exclusive) sample of a piece to its estimates.
    lookahead
        Samples after a point in time on which the estimates there depend.

    Yields
    ------
    dict
        Stretches that follow one another without a gap.
    """
    fade, end = int(FADE_S * rate), _end(rate, lookahead)
    done, before = 0, None
    for i, (start, stop) in enumerate(pieces):
        out = {t: a[:, done - start :].copy() for t, a in separate(start, stop).items()}
        if before is not None:
            weight = np.linspace(0.0, 1.0, fade)
            for target, tail in before.items():
                out[target][:, :fade] = (1 - weight) * tail + weight * out[target][:, :fade]
        if i + 1 < len(pieces):
            length = stop - end - fade - done  # from there on the next piece fades in
            before = {t: a[:, length : length + fade].copy() for t, a in out.items()}
            out = {t: a[:, :length] for t, a in out.items()}
            done += length
        yield out
        del out  # a piece at a time


def stream(
    method: Method, read: Read, n_channels: int, n_samples: int, rate: int
) -> Iterator[Estimates]:
    """Yield the estimates of a song of any length, a stretch at a time.

    Parameters
    ----------
    method
        What separates.
    read
        From a first sample and a number of samples to the mixture there, ``(channels, samples)``.
    n_channels, n_samples, rate
        Of the song; hertz.
    """
    lookahead = method.lookahead(rate)
    pieces = cuts(n_samples, n_channels, rate, method.alignment(rate), lookahead)
    if len(pieces) > 1:
        block = 10 * rate
        blocks = (read(a, min(block, n_samples - a)) for a in range(0, n_samples, block))
        method = method.for_song(blocks, rate)
    yield from overlap_add(
        pieces, rate, lambda a, b: method.separate(read(a, b - a), rate), lookahead
    )


def separate_mixture(method: Method, mixture: Audio, rate: int) -> Estimates:
    """Return what `Separator.separate` does, for a mixture of any length."""
    n_channels, n_samples = mixture.shape if mixture.ndim == 2 else (1, 0)
    lookahead = method.lookahead(rate)
    if len(cuts(n_samples, n_channels, rate, method.alignment(rate), lookahead)) == 1:
        return method.separate(mixture, rate)
    parts = stream(method, lambda a, n: mixture[:, a : a + n], n_channels, n_samples, rate)
    return joined(parts)


def separate_track(method: Separator, track: Track) -> Estimates:
    """Return a track's estimates, by its mixture alone unless the method is a bound."""
    if not isinstance(method, Oracle):
        return separate_mixture(method, track.mixture, track.rate)
    pieces = cuts(track.n_samples, track.n_channels, track.rate, method.alignment(track.rate))
    if len(pieces) == 1:
        return method.separate_track(track)
    parts = overlap_add(
        pieces, track.rate, lambda a, b: method.separate_track(track.excerpt(a, b - a))
    )
    return joined(parts)


def joined(parts: Iterable[Estimates]) -> Estimates:
    """Return stretches put one after the other."""
    segments = list(parts)
    return {t: np.concatenate([part[t] for part in segments], axis=1) for t in TARGETS}
