"""The score of each track and seed, for each row and metric of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.scoring.aggregate import OVER_TRACKS


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
    """

    names: Sequence[str]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def over_seeds(self) -> NDArray[np.float64]:
        """The mean over seeds, ``(tracks,)``."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.values.mean(axis=0))

    def on(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return `over_seeds` on the tracks of these names, NaN for a track without a score."""
        by_name = dict(zip(self.names, self.over_seeds, strict=True))
        return np.array([by_name.get(name, np.nan) for name in names])


def track_tables(tracks: pd.DataFrame, protocol: str) -> dict[tuple[str, str], TrackTable]:
    """Return the table of each row and metric over tracks.

    Parameters
    ----------
    tracks
        The value of each track, from `bench.scoring.aggregate.track_values` by row and seed, under
        one protocol and for one target. Its column `track` is categorical.
    protocol
        The name of that protocol.
    """
    names = OVER_TRACKS[protocol][1]
    ordered = tracks["track"].cat.reorder_categories(sorted(tracks["track"].cat.categories))
    tracks = tracks.assign(track=ordered)
    lengths = tracks.groupby("track", observed=False)["n_samples"].first().to_numpy(np.float64)
    tables = {}
    for (row, metric), part in tracks.groupby(["row", "metric"], observed=True, sort=False):
        present, columns = np.unique(part["track"].cat.codes, return_inverse=True)
        seeds, lines = np.unique(part["seed"], return_inverse=True)
        values = np.full((len(seeds), len(present)), np.nan)
        values[lines, columns] = part["value"]
        tables[str(row), names[str(metric)]] = TrackTable(
            list(ordered.cat.categories[present]), values, lengths[present]
        )
    return tables
