"""Many tracks to one number.

For ``bss_eval_v3`` the field reports means weighted by the length of the track: GNSDR, GSIR,
GSAR (and GSDR, of the plain SDR). An undefined score is left out of the mean and counted; an
infinite one makes the mean infinite. Nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: The name over tracks of a metric of one track.
OVER_TRACKS = {"nsdr": "gnsdr", "sdr": "gsdr", "sir": "gsir", "sar": "gsar"}


def over_tracks(scores: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row a group, target, protocol and metric.

    Parameters
    ----------
    scores
        Tidy score rows (`bench.scoring.protocols.ScoreRow`), and the columns of `by`.
    by
        What else to group by: a method, a seed.

    Returns
    -------
    DataFrame
        Columns `by`, target, protocol, metric (its name over tracks), value, n_tracks,
        n_undefined. `n_tracks` counts all tracks of the group, the undefined among them.
    """
    keys = [*by, "target", "protocol", "metric"]
    rows = []
    for key, group in scores.groupby(keys, sort=False):
        value = weighted_mean(group["value"].to_numpy(), group["n_samples"].to_numpy())
        row = dict(zip(keys, key, strict=True))
        row["metric"] = OVER_TRACKS[str(row["metric"])]
        row["value"] = value
        row["n_tracks"] = group["track"].nunique()
        row["n_undefined"] = int(group["value"].isna().sum())
        rows.append(row)
    return pd.DataFrame(rows, columns=[*keys, "value", "n_tracks", "n_undefined"])


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean of the defined values, weighted; NaN where none is defined.

    Examples
    --------
    >>> weighted_mean(np.array([1.0, 4.0, np.nan]), np.array([2, 1, 9]))
    2.0
    """
    defined = ~np.isnan(values)
    if not defined.any():
        return float("nan")
    with np.errstate(invalid="ignore"):  # plus and minus infinity have no mean
        return float(np.average(values[defined], weights=weights[defined]))
