"""Many tracks to one number, as each protocol's field does it.

``bss_eval_v3``: means weighted by the length of the track, GNSDR, GSIR, GSAR (and GSDR, of the
plain SDR). ``bss_eval_v4`` and ``museval``: the median over a track's windows, then over tracks.
``usdr`` and ``si_sdr``: the mean over tracks.

An undefined score is left out and counted, by window where the protocol has windows; an infinite
one stays. The median of an even count is the mean of the two in the middle. Seeds are put together
last: a mean, a standard deviation and an interval. Nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.special


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


def mean(values: np.ndarray, _: np.ndarray) -> float:
    """Return the plain mean of the defined values; NaN where none is defined."""
    return weighted_mean(values, np.ones(len(values)))


def median(values: np.ndarray, _: np.ndarray) -> float:
    """Return the median of the defined values; NaN where none is defined.

    Examples
    --------
    >>> median(np.array([1.0, 2.0, np.nan, 9.0, 4.0]), np.ones(5))
    3.0
    """
    defined = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # between plus and minus infinity lies nothing
        return float(np.median(defined)) if len(defined) else float("nan")


Aggregate = Callable[[np.ndarray, np.ndarray], float]
Names = dict[str, str]

#: For each protocol how tracks are put together, and each metric's name over tracks.
OVER_TRACKS: dict[str, tuple[Aggregate, Names]] = {
    "bss_eval_v3": (
        weighted_mean,
        {"nsdr": "gnsdr", "sir": "gsir", "sar": "gsar", "sdr": "gsdr"},
    ),
    "bss_eval_v4": (median, {name: name for name in ("sdr", "isr", "sir", "sar")}),
    "museval": (median, {name: name for name in ("sdr", "isr", "sir", "sar")}),
    "usdr": (mean, {"usdr": "usdr"}),
    "si_sdr": (mean, {"si_sdr": "si_sdr", "si_sdri": "si_sdri"}),
}


def metrics(protocol: str) -> list[str]:
    """Return the names over tracks of a protocol's metrics."""
    return list(OVER_TRACKS[protocol][1].values())


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
        n_undefined, n_infinite. `n_tracks` counts all tracks of the group, those without a
        defined score among them; the other two count scores, by window where there are windows.
    """
    keys = [*by, "target", "protocol", "metric"]
    rows = []
    for key, group in scores.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        aggregate, names = OVER_TRACKS[str(row["protocol"])]
        tracks = group.groupby("track", sort=False)
        values = tracks["value"].median() if aggregate is median else tracks["value"].first()
        weights = tracks["n_samples"].first()
        row["metric"] = names[str(row["metric"])]
        row["value"] = aggregate(values.to_numpy(), weights.to_numpy())
        row["n_tracks"] = len(values)
        row["n_undefined"] = int(group["value"].isna().sum())
        row["n_infinite"] = int(np.isinf(group["value"]).sum())
        rows.append(row)
    return pd.DataFrame(rows, columns=[*keys, "value", "n_tracks", "n_undefined", "n_infinite"])


@dataclass(frozen=True)
class OverSeeds:
    """One number over the seeds of a row.

    Attributes
    ----------
    mean
        NaN where any seed has no value: none is averaged away.
    spread
        Standard deviation over seeds, with n - 1; NaN for one seed.
    half_width
        Half of the 95 % interval of the mean, by Student's t; NaN for one seed.
    """

    mean: float
    spread: float
    half_width: float


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """Put the values of several seeds together.

    Examples
    --------
    >>> over_seeds([7.0, 7.5, 8.0])
    OverSeeds(mean=7.5, spread=0.5, half_width=1.2420688...)
    """
    found = np.asarray(values, dtype=np.float64)
    n = len(found)
    if n == 0:
        return OverSeeds(float("nan"), float("nan"), float("nan"))
    with np.errstate(invalid="ignore"):
        mean_over = float(found.mean())
        if n == 1 or not np.isfinite(found).all():
            return OverSeeds(mean_over, float("nan"), float("nan"))
        spread = float(found.std(ddof=1))
    quantile = float(scipy.special.stdtrit(n - 1, 0.975))
    return OverSeeds(mean_over, spread, quantile * spread / n**0.5)
