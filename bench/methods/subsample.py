"""Training on a corpus larger than memory: random excerpts of its tracks, read when asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.track import LazyTracks, Track

#: Number of samples of a target, over channels and tracks, that a training holds at a time: half a
#: gigabyte in float64. It is the same on every machine, so that no machine's memory moves a number.
IN_MEMORY = 2**26
#: Shortest excerpt in seconds. Of a corpus with more tracks than that allows, some are left out.
SHORTEST_EXCERPT_S = 5.0


def fit_in_memory(tracks: Sequence[Track], seed: int, draw: int = 0) -> Sequence[Track]:
    """Return the tracks that a training holds in memory: all of them, or random excerpts.

    Parameters
    ----------
    tracks
        The tracks of a corpus, loaded one at a time.
    seed, draw
        Seed of the excerpts, and number of the draw, such as an epoch: each draw gives others.

    Returns
    -------
    sequence of Track
        `tracks` itself where it holds no more than `IN_MEMORY` samples a target. Else one excerpt a
        track, all of one length but for tracks that are shorter; of a random part of the tracks
        where the excerpts would be shorter than `SHORTEST_EXCERPT_S`.
    """
    sizes = [(track.n_channels, track.n_samples, track.rate) for track in tracks]
    if sum(channels * n for channels, n, _ in sizes) <= IN_MEMORY:
        return tracks
    rng = np.random.default_rng([seed, draw])
    each_s = IN_MEMORY / sum(channels * rate for channels, _, rate in sizes)
    order = rng.permutation(len(sizes))
    if each_s < SHORTEST_EXCERPT_S:
        order = order[: max(1, int(len(sizes) * each_s / SHORTEST_EXCERPT_S))]
        each_s = SHORTEST_EXCERPT_S
    cuts = []
    for index in sorted(order.tolist()):
        _, n_samples, rate = sizes[index]
        length = min(n_samples, int(each_s * rate))
        cuts.append((index, int(rng.integers(n_samples - length + 1)), length))
    return TrackExcerpts(tracks, cuts)


class TrackExcerpts(LazyTracks):
    """Excerpts of tracks, each read when it is asked for.

    Parameters
    ----------
    tracks
        Tracks from which they are cut.
    cuts
        For each excerpt the index of its track, its first sample and its length in samples.
    """

    def __init__(self, tracks: Sequence[Track], cuts: Sequence[tuple[int, int, int]]) -> None:
        self.tracks, self.cuts = tracks, cuts

    def __len__(self) -> int:
        return len(self.cuts)

    def load(self, index: int) -> Track:
        """Read the excerpt at an index from 0."""
        track, start, n_samples = self.cuts[index]
        return self.tracks[track].excerpt(start, n_samples)
