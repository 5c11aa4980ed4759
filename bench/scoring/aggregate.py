"""Many tracks to one number, as each protocol's field does it.

``bss_eval_v3``: means weighted by the length of the track, GNSDR, GSIR, GSAR (and GSDR, of the
plain SDR). ``bss_eval_v4`` and ``museval``: the median over a track's windows, then over tracks.
All others: the mean over tracks.

An undefined score is left out and counted, by window where the protocol has windows; an infinite
one stays, but under ``museval``, which leaves it out of its medians as museval does. The median of
an even count is the mean of the two in the middle. Seeds are put together last: a mean, a standard
deviation and an interval. Nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.scoring.melody import MEASURES

if TYPE_CHECKING:
    import pandas as pd


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of the defined values along the last axis, weighted; NaN where none is.

    Examples
    --------
    >>> float(weighted_mean(np.array([1.0, 4.0, np.nan]), np.array([2, 1, 9])))
    2.0
    """
    defined = ~np.isnan(values)
    weights = np.where(defined, weights, 0)
    with np.errstate(invalid="ignore"):  # plus and minus infinity have no mean
        total = np.where(defined, values * weights, 0.0).sum(axis=-1)
        return np.asarray(total / weights.sum(axis=-1))


def mean(values: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Return the plain mean of the defined values along the last axis; NaN where none is."""
    return weighted_mean(values, np.ones(values.shape))


def median(values: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Return the median of the defined values along the last axis; NaN where none is.

    Examples
    --------
    >>> float(median(np.array([1.0, 2.0, np.nan, 9.0, 4.0]), np.ones(5)))
    3.0
    """
    ordered = np.sort(values, axis=-1)  # what is undefined comes last
    n = np.count_nonzero(~np.isnan(values), axis=-1, keepdims=True)
    low, high = (np.take_along_axis(ordered, np.maximum(k, 0), -1) for k in ((n - 1) // 2, n // 2))
    with np.errstate(invalid="ignore"):  # between plus and minus infinity lies nothing
        return np.asarray((low + high)[..., 0] / 2)


Aggregate = Callable[[np.ndarray, np.ndarray], np.ndarray]
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
    "mr_stft": (mean, {"mr_stft": "mr_stft"}),
    "bleed_fullness": (mean, {"bleedless": "bleedless", "fullness": "fullness"}),
    "melody": (mean, {name: name for name in MEASURES}),
}

#: Metrics that are not in decibels.
WITHOUT_UNIT = frozenset({"mr_stft", "bleedless", "fullness", *MEASURES})
#: Metrics of which the lowest value is the best.
DISTANCES = frozenset({"mr_stft", "voicing_false_alarm"})


#: Protocols whose medians leave infinite scores out: museval stores them as NaN.
FINITE_ALONE = ("museval",)


def metrics(protocol: str) -> list[str]:
    """Return the names over tracks of a protocol's metrics."""
    return list(OVER_TRACKS[protocol][1].values())


def merit(metric: str) -> int:
    """Return the factor that makes the highest value of a metric the best: -1 for a distance.

    Examples
    --------
    >>> merit("gnsdr"), merit("mr_stft")
    (1, -1)
    """
    return -1 if metric in DISTANCES else 1


def from_best(metric: str, value: float) -> float:
    """Return a key that sorts the best value of a metric first, and NaN last.

    Examples
    --------
    >>> sorted([5.0, float("nan"), 7.0], key=lambda value: from_best("gnsdr", value))
    [7.0, 5.0, nan]
    """
    return np.inf if np.isnan(value) else -merit(metric) * value


#: Metrics whose names are not written in capitals.
_NAMES = {
    "usdr": "uSDR",
    "si_sdri": "SI-SDRi",
    "bleedless": "Bleedless",
    "fullness": "Fullness",
    "raw_pitch": "Raw pitch",
    "raw_chroma": "Raw chroma",
    "overall_accuracy": "Overall accuracy",
    "voicing_recall": "Voicing recall",
    "voicing_false_alarm": "Voicing false alarm",
}


def metric_name(metric: str) -> str:
    """Return a metric as a sentence names it.

    Examples
    --------
    >>> metric_name("si_sdr"), metric_name("usdr")
    ('SI-SDR', 'uSDR')
    """
    return _NAMES.get(metric, metric.upper().replace("_", "-"))


def in_decibels(metrics: Iterable[str]) -> bool:
    """Tell whether all of these metrics are in dB."""
    return not WITHOUT_UNIT.intersection(metrics)


def metric_of_track(protocol: str, metric: str) -> str:
    """Return the metric of a track whose aggregate over tracks is `metric`.

    Examples
    --------
    >>> metric_of_track("bss_eval_v3", "gnsdr")
    'nsdr'
    """
    return next(name for name, over in OVER_TRACKS[protocol][1].items() if over == metric)


def over_tracks(
    scores: pd.DataFrame, by: Sequence[str] = (), tracks: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return one row a group, target, protocol and metric.

    Parameters
    ----------
    scores
        Tidy score rows (`bench.scoring.protocols.ScoreRow`), and the columns of `by`.
    by
        What else to group by: a method, a seed.
    tracks
        Their `track_values`, where they are there already.

    Returns
    -------
    DataFrame
        Columns `by`, target, protocol, metric (its name over tracks), value, n_tracks,
        n_scores, n_undefined, n_infinite. `n_tracks` counts all tracks of the group, those without
        a defined score among them; the others count scores, by window where there are windows.
    """
    keys = [*by, "target", "protocol", "metric"]
    tracks = track_values(scores, by) if tracks is None else tracks
    # Groups are numbered as they come, the same in both.
    group, of_track = (
        t.groupby(keys, sort=False, observed=True).ngroup().to_numpy() for t in (scores, tracks)
    )
    value = scores["value"].to_numpy()
    counts = {
        "n_scores": np.bincount(group),
        "n_undefined": np.bincount(group, np.isnan(value)).astype(int),
        "n_infinite": np.bincount(group, np.isinf(value)).astype(int),
    }
    values, lengths = tracks["value"].to_numpy(), tracks["n_samples"].to_numpy()
    rows = []
    first = np.unique(of_track, return_index=True)[1]
    members = np.split(np.argsort(of_track, kind="stable"), np.cumsum(np.bincount(of_track))[:-1])
    for i, row in enumerate(tracks.loc[first, keys].to_dict("records")):
        where = members[i]
        aggregate, names = OVER_TRACKS[row["protocol"]]
        row["metric"] = names[row["metric"]]
        row["value"] = float(aggregate(values[where], lengths[where]))
        row["n_tracks"] = len(where)
        rows.append(row | {name: int(count[i]) for name, count in counts.items()})
    columns = ["value", "n_tracks", "n_scores", "n_undefined", "n_infinite"]
    import pandas as pd

    return pd.DataFrame(rows, columns=[*keys, *columns])


def track_values(scores: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return one value a track: the median of its windows where the protocol has windows.

    Parameters
    ----------
    scores, by
        As for `over_tracks`.

    Returns
    -------
    DataFrame
        Columns `by`, target, protocol, metric (its name of one track), track, value, n_samples.
        An undefined value is NaN.
    """
    keys = [*by, "target", "protocol", "metric", "track"]
    left_out = scores["protocol"].isin(FINITE_ALONE) & np.isinf(scores["value"])
    if left_out.any():
        scores = scores.assign(value=scores["value"].mask(left_out))
    values = scores.groupby(keys, sort=False, observed=True)[["value", "n_samples"]]
    # The median of one score is that score, an infinite one too.
    return values.median().reset_index()


def tracks_of_units(units: Sequence[str]) -> dict[str, list[int]]:
    """Return the indices of each unit's tracks, units in the order in which they occur.

    Examples
    --------
    >>> tracks_of_units(["a", "b", "a"])
    {'a': [0, 2], 'b': [1]}
    """
    tracks: dict[str, list[int]] = {}
    for track, unit in enumerate(units):
        tracks.setdefault(unit, []).append(track)
    return tracks


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
    finished = np.asarray(values, dtype=np.float64)
    n = len(finished)
    if n == 0:
        return OverSeeds(float("nan"), float("nan"), float("nan"))
    with np.errstate(invalid="ignore"):
        mean_over = float(finished.mean())
        if n == 1 or not np.isfinite(finished).all():
            return OverSeeds(mean_over, float("nan"), float("nan"))
        spread = float(finished.std(ddof=1))
    import scipy

    quantile = float(scipy.special.stdtrit(n - 1, 0.975))
    return OverSeeds(mean_over, spread, quantile * spread / n**0.5)
