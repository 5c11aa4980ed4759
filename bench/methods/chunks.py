"""Long songs in overlapping chunks: memory stays flat, and no seam is heard between two chunks.

A song longer than a chunk is cut into chunks that overlap. The beginning of each overlap is taken
from the earlier chunk, since the later one has no past there. Then the earlier chunk fades linearly
into the later one. The end of the overlap is taken from the later chunk, since the earlier one has
no future there. Chunks begin where the frames and states of the method begin
(`Separator.alignment`), so that a method that looks at a limited past gives the same in chunks as
on the whole song. A method that looks at the whole song, as robust PCA does, is given one chunk at
a time.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from bench.errors import BenchError, exception_text
from bench.methods.oracle import Oracle
from bench.methods.registry import is_ours
from bench.methods.separator import Separator
from bench.track import TARGETS, Audio, PitchTrack, Track

#: Length of a chunk of stereo at 44.1 kHz in seconds, and its bounds for other formats: a chunk of
#: more channels or of a higher rate is shorter.
CHUNK_S, SHORTEST_CHUNK_S, LONGEST_CHUNK_S = 30.0, 10.0, 60.0
#: Overlap of two chunks in seconds beyond the method's alignment, and the part of it that fades.
CHUNK_OVERLAP_S, FADE_S = 3.5, 0.5
#: End of a chunk in seconds that is not used, since the chunk does not hold what follows.
END_S = 1.0

#: First sample of a chunk, and the one after its last.
Cut = tuple[int, int]
Estimates = dict[str, Audio]
Read = Callable[[int, int], Audio]
_Returned = TypeVar("_Returned")


class Method(Protocol):
    """A method that separates chunks: a `Separator`, or one that resamples around it."""

    def alignment(self, rate: int) -> int:
        """Return the number of samples at whose multiples a chunk may begin."""
        ...

    def lookahead(self, rate: int) -> int:
        """Return the number of samples after a point on which the estimates there depend."""
        ...

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return the method prepared for chunks of the song that `blocks` make up."""
        ...

    def separate(self, mixture: Audio, rate: int) -> Estimates:
        """Separate a chunk."""
        ...


def estimates_of(method: Method, mixture: Audio, rate: int) -> Estimates:
    """Return the estimates of one chunk, where the method keeps its promises.

    Parameters
    ----------
    method
        The method.
    mixture
        ``(channels, samples)``.
    rate
        Sampling rate in hertz.

    Raises
    ------
    BenchError
        As `_kept`.
    """
    return _kept(method, "separate", lambda: method.separate(mixture, rate), mixture.shape)


def guarded(method: Method, call: str, function: Callable[[], _Returned]) -> _Returned:
    """Return what a call of a method returns; an error of one from elsewhere is named in a line."""
    try:
        return function()
    except BenchError:
        raise
    except Exception as error:
        if is_ours(type(method)):
            raise  # a defect of ours, which needs its traceback
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise BenchError(
            f"{type(method).__module__}:{type(method).__qualname__}.{call} raised "
            f"{exception_text(error)} ({Path(last.filename).name}, line {last.lineno})"
        ) from error


def followed_pitch(method: Separator, track: Track) -> PitchTrack | None:
    """Return the pitch that a method follows in a track; see `Separator.followed_pitch`.

    Returns
    -------
    PitchTrack or None
        None where the method follows no pitch.

    Raises
    ------
    BenchError
        The method gives no pitch track: times that do not ascend, arrays of different lengths or
        without a point, or a value that is not finite.
    """
    call = "followed_pitch"
    followed = guarded(method, call, lambda: method.followed_pitch(track.mixture, track.rate))
    if followed is None:
        return None
    times_s, hertz = (np.asarray(values, dtype=np.float64) for values in followed)
    is_track = times_s.ndim == 1 and times_s.shape == hertz.shape and times_s.size > 0
    is_finite = is_track and bool(np.isfinite([times_s, hertz]).all())
    if not is_finite or (np.diff(times_s) <= 0).any():
        raise BenchError(
            f"{type(method).__name__}.{call} of track {track.name!r} is no pitch track: it needs "
            "as many ascending times as pitches, at least one, all finite"
        )
    return PitchTrack(times_s, hertz)


def _chunks_of(
    method: Method, n_samples: int, n_channels: int, rate: int, lookahead: int
) -> list[Cut]:
    """Return the chunks of a song for a method; see `cuts`."""
    alignment = guarded(method, "alignment", lambda: method.alignment(rate))
    return cuts(n_samples, n_channels, rate, alignment, lookahead)


def _lookahead(method: Method, rate: int) -> int:
    """Return the number of samples after a point on which a method's estimates there depend."""
    return guarded(method, "lookahead", lambda: method.lookahead(rate))


def _estimates_of_track(method: Oracle, track: Track) -> Estimates:
    """Return the estimates of one chunk of a track by a bound; see `estimates_of`."""
    call = "separate_track"
    return _kept(method, call, lambda: method.separate_track(track), track.mixture.shape)


def _kept(
    method: Method, call: str, separate: Callable[[], Any], shape: tuple[int, ...]
) -> Estimates:
    """Return what a method's call gives, where it is what the contract of methods promises.

    Raises
    ------
    BenchError
        The method lacks a target or has another, an estimate is no array of floats, has another
        shape than the mixture or is not finite, or a method from elsewhere raises an error: which
        promise was broken, and by whom.
    """
    name = f"{type(method).__module__}:{type(method).__qualname__}.{call}"
    estimates = guarded(method, call, separate)
    targets = ", ".join(TARGETS)
    if not isinstance(estimates, Mapping):
        raise BenchError(
            f"{name} returned a {type(estimates).__name__}; it must return a dict with an array "
            f"for each of {targets}"
        )
    for target in TARGETS:
        if target not in estimates:
            raise BenchError(f"{name} returned no estimate of {target}")
    for target, estimate in estimates.items():
        if target not in TARGETS:
            raise BenchError(f"{name} returned {target!r}, which is no target; known: {targets}")
        if not isinstance(estimate, np.ndarray):
            raise BenchError(
                f"{name} returned {target} as a {type(estimate).__name__}; it must be a NumPy array"
            )
        if not np.issubdtype(estimate.dtype, np.floating):
            raise BenchError(
                f"{name} returned {target} in the type {estimate.dtype}; it must hold floats"
            )
        if estimate.shape != shape:
            raise BenchError(
                f"{name} returned {target} of shape {estimate.shape}; it must have the mixture's, "
                f"{shape}: (channels, samples)"
            )
        if not np.isfinite(estimate).all():
            raise BenchError(f"{name} returned {target} with samples that are NaN or infinite")
    return dict(estimates)


def cuts(
    n_samples: int, n_channels: int, rate: int, alignment: int, lookahead: int = 0
) -> list[Cut]:
    """Return the chunks of a song; a single one if the song is short.

    Parameters
    ----------
    n_samples, n_channels, rate
        Length of the song in samples, number of channels, and sampling rate in hertz.
    alignment
        Number of samples at whose multiples a chunk may begin.
    lookahead
        Number of samples after a point in time on which the estimates there depend.

    Examples
    --------
    >>> cuts(100 * 1000, 1, 1000, 512)
    [(0, 60000), (40448, 100000)]
    """
    seconds = CHUNK_S * 2 * 44_100 / max(1, n_channels * rate)
    seconds = min(max(seconds, SHORTEST_CHUNK_S), LONGEST_CHUNK_S)
    longer = _end(rate, lookahead) - int(END_S * rate)  # the past matters as far as the future
    overlap = int(CHUNK_OVERLAP_S * rate) + alignment + 2 * longer
    length = max(int(seconds * rate), 2 * overlap)
    if n_samples <= length:
        return [(0, n_samples)]
    step = (length - overlap) // alignment * alignment
    last = -(-(n_samples - length) // alignment) * alignment
    last = min(last, (n_samples - 1) // alignment * alignment)
    starts = [*range(0, last, step), last]
    return [(start, min(start + length, n_samples)) for start in starts]


def _end(rate: int, lookahead: int) -> int:
    """Return the number of samples at the end of a chunk that are taken from the next chunk."""
    return max(int(END_S * rate), lookahead)


def overlap_add(
    chunks: list[Cut],
    rate: int,
    separate: Callable[[int, int], Estimates],
    lookahead: int = 0,
) -> Iterator[Estimates]:
    """Yield the estimates of a song in segments, from those of its chunks.

    Parameters
    ----------
    chunks
        The chunks of the song, as `cuts` returns them.
    rate
        Sampling rate in hertz.
    separate
        Function of the first sample of a chunk and the one after its last that returns its
        estimates.
    lookahead
        Number of samples after a point in time on which the estimates there depend.

    Yields
    ------
    dict
        Estimates of segments that follow one another without a gap.
    """
    fade, end = int(FADE_S * rate), _end(rate, lookahead)
    done, before = 0, None
    for i, (start, stop) in enumerate(chunks):
        out = {t: a[:, done - start :].copy() for t, a in separate(start, stop).items()}
        if before is not None:
            weight = np.linspace(0.0, 1.0, fade)
            for target, tail in before.items():
                out[target][:, :fade] = (1 - weight) * tail + weight * out[target][:, :fade]
        if i + 1 < len(chunks):
            length = stop - end - fade - done  # from there on the next chunk fades in
            before = {t: a[:, length : length + fade].copy() for t, a in out.items()}
            out = {t: a[:, :length] for t, a in out.items()}
            done += length
        yield out
        del out  # memory holds one chunk at a time


def stream(
    method: Method, read: Read, n_channels: int, n_samples: int, rate: int
) -> Iterator[Estimates]:
    """Yield the estimates of a song of any length in segments.

    Parameters
    ----------
    method
        The method.
    read
        Function of a first sample and a number of samples that returns the mixture there,
        ``(channels, samples)``.
    n_channels, n_samples, rate
        Number of channels, length of the song in samples, and sampling rate in hertz.
    """
    lookahead = _lookahead(method, rate)
    song_chunks = _chunks_of(method, n_samples, n_channels, rate, lookahead)
    if len(song_chunks) > 1:
        block, whole = 10 * rate, method
        blocks = (read(a, min(block, n_samples - a)) for a in range(0, n_samples, block))
        method = guarded(whole, "for_song", lambda: whole.for_song(blocks, rate))
    yield from overlap_add(
        song_chunks, rate, lambda a, b: estimates_of(method, read(a, b - a), rate), lookahead
    )


def separate_mixture(method: Method, mixture: Audio, rate: int) -> Estimates:
    """Return the estimates of a mixture of any length; see `Separator.separate`."""
    n_channels, n_samples = mixture.shape if mixture.ndim == 2 else (1, 0)
    lookahead = _lookahead(method, rate)
    if len(_chunks_of(method, n_samples, n_channels, rate, lookahead)) == 1:
        return estimates_of(method, mixture, rate)
    parts = stream(method, lambda a, n: mixture[:, a : a + n], n_channels, n_samples, rate)
    return concatenated(parts)


def separate_track(method: Separator, track: Track) -> Estimates:
    """Return the estimates of a track of any length. Only a bound is given the references."""
    if not isinstance(method, Oracle):
        return separate_mixture(method, track.mixture, track.rate)
    song_chunks = _chunks_of(method, track.n_samples, track.n_channels, track.rate, 0)
    if len(song_chunks) == 1:
        return _estimates_of_track(method, track)
    parts = overlap_add(
        song_chunks,
        track.rate,
        lambda a, b: _estimates_of_track(method, track.excerpt(a, b - a)),
    )
    return concatenated(parts)


def concatenated(parts: Iterable[Estimates]) -> Estimates:
    """Return segments put one after the other."""
    segments = list(parts)
    return {t: np.concatenate([part[t] for part in segments], axis=1) for t in TARGETS}
