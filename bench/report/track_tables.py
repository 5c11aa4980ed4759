"""The score of each track and seed, for each row and metric of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.scoring.aggregate import OVER_TRACKS, tracks_of_units, weighted_mean

#: With fewer singers there is no interval over them: it would hold the truth far more rarely than
#: in 95 % of cases (`reports/benchmarks/intervals.md`).
FEWEST_SINGERS = 5


@dataclass(frozen=True)
class TrackTable:
    """The scores of one row under one metric.

    Attributes
    ----------
    names
        Names of the tracks, sorted.
    values
        Scores, ``(seeds, tracks)``, NaN where undefined.
    weights
        Lengths of the tracks in samples, ``(tracks,)``.
    songs, singers
        The song and the singer of each track.
    """

    names: Sequence[str]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    songs: Sequence[str]
    singers: Sequence[str]

    @property
    def seed_mean(self) -> NDArray[np.float64]:
        """The mean over seeds, ``(tracks,)``."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.values.mean(axis=0))

    @property
    def has_singers(self) -> bool:
        """Whether every singer is known, some sing several songs, and enough are there to draw."""
        singers = set(self.singers)
        return "" not in singers and FEWEST_SINGERS <= len(singers) < len(set(self.songs))

    @cached_property
    def song_means(self) -> dict[str, float]:
        """The mean over the seeds and the tracks of each song, weighted by length, by its name."""
        values, tracks = self.seed_mean, tracks_of_units(self.songs)
        with np.errstate(divide="ignore"):  # a song without a defined score has none
            return {k: float(weighted_mean(values[i], self.weights[i])) for k, i in tracks.items()}

    def on_track(self, name: str) -> float:
        """Return the mean over seeds on a track, NaN where it has no score."""
        return float(self.seed_mean[self.names.index(name)]) if name in self.names else np.nan

    def means_on(self, songs: Iterable[str]) -> NDArray[np.float64]:
        """Return `song_means` on these songs, NaN for a song without a score."""
        return np.array([self.song_means.get(song, np.nan) for song in songs])


def track_tables(
    tracks: pd.DataFrame, protocol: str, groups: Callable[[str], tuple[str, str]]
) -> dict[tuple[str, str], TrackTable]:
    """Return the table of each row and metric over tracks.

    Parameters
    ----------
    tracks
        The value of each track, from `bench.scoring.aggregate.track_values` by row and seed, under
        one protocol and for one target. Its column `track` is categorical.
    protocol
        The name of that protocol.
    groups
        Function that returns the song and the singer of a track.
    """
    names = OVER_TRACKS[protocol][1]
    of_track = {track: groups(track) for track in tracks["track"].cat.categories}
    ordered = tracks["track"].cat.reorder_categories(sorted(tracks["track"].cat.categories))
    tracks = tracks.assign(track=ordered)
    lengths = tracks.groupby("track", observed=False)["n_samples"].first().to_numpy(np.float64)
    tables = {}
    for (row, metric), part in tracks.groupby(["row", "metric"], observed=True, sort=False):
        present, columns = np.unique(part["track"].cat.codes, return_inverse=True)
        seeds, lines = np.unique(part["seed"], return_inverse=True)
        values = np.full((len(seeds), len(present)), np.nan)
        values[lines, columns] = part["value"]
        present_names = list(ordered.cat.categories[present])
        songs, singers = zip(*(of_track[name] for name in present_names), strict=True)
        tables[str(row), names[str(metric)]] = TrackTable(
            present_names, values, lengths[present], songs, singers
        )
    return tables
