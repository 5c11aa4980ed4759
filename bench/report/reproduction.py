"""Rows of a report computed anew, and whether they are the rows of the report.

The rule, from strict to lenient:

- same to the bit: every score of every track is the same number;
- same but for rounding: no score of a track differs by more than `ROUNDING_DB`, or, for a row that
  learns nothing, by more than `PROCESSOR_DB`: another processor adds in another order;
- reproduced within the spread over trainings: for a row that learns, each mean over tracks is
  within ``3 s sqrt(1/n + 1/m)`` of that in the report, with n trainings there and m here. s is the
  standard deviation over trainings: that of the report's rows with three seeds or more, or, in a
  report of fewer, `TRAINING_SD_DB`. Where the row computed anew is within that of other rows of the
  report too, the verdict names them: it tells the row from all rows but those.

Everything else is not reproduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.report.numbers import unit_of
from bench.scoring.aggregate import WITHOUT_UNIT, in_decibels, metric_name, over_tracks
from bench.store.results import Outcome, Results

#: Largest difference of a score in dB that is rounding of the same processor.
ROUNDING_DB = 1e-6
#: Largest difference of a score in dB of a row that learns nothing, on another processor.
PROCESSOR_DB = 0.01
#: Standard deviations over trainings in dB: those of the voice in `reports/paper_table2`, which has
#: the network of the tables, pooled over its 10 rows. Another measure has the largest of them.
TRAINING_SD_DB = {"gsdr": 0.18, "gnsdr": 0.18, "gsir": 0.32, "gsar": 0.09}
#: The least number of trainings from which a report's own standard deviation is taken.
LEAST_SEEDS = 3
#: Number of standard deviations by which two means may differ.
N_SD = 3.0

#: The verdict on a row of other trainings.
_BY_CHANCE = "reproduced within the spread over trainings"

_CELL_KEYS = ["row", "seed"]
_MEAN_KEYS = ["target", "protocol", "metric"]
_SCORE_KEYS = [*_CELL_KEYS, "track", *_MEAN_KEYS, "window"]


@dataclass(frozen=True)
class Reproduction:
    """What became of one row.

    Attributes
    ----------
    row
        Its label.
    is_reproduced
        Whether it is the report's row, by the rule of this module.
    verdict
        The rule that holds, or why none does.
    means
        Columns target, protocol, metric, ``then``, ``now`` and ``allowed``: the means over tracks,
        and seeds, in the report and here, and by how much they may differ; without a row where it
        was not computed.
    largest
        The largest difference of a score of one track or window, in the unit of its metric; NaN
        where the row was not computed.
    unit
        The unit of `largest` after a space; empty where it may be of a metric without one.
    """

    row: str
    is_reproduced: bool
    verdict: str
    means: pd.DataFrame
    largest: float
    unit: str = ""


def compare(report: Results, computed: Sequence[Outcome]) -> Iterator[Reproduction]:
    """Compare rows computed anew with those of a report.

    Parameters
    ----------
    report
        The report's results.
    computed
        The outcome of each cell that was computed anew, failed ones too, with the row and the seed
        that the cell has in the report.
    """
    here = Results(report.experiment, report.corpus, computed)
    then_means, now_means = _seed_means(report.scores), _seed_means(here.scores)
    learning = {outcome.cell.row for outcome in report.outcomes if outcome.cell.learns}
    spread = _training_sd(then_means[then_means["row"].isin(learning)])
    for row in dict.fromkeys(outcome.cell.row for outcome in computed):
        outcomes = [outcome for outcome in computed if outcome.cell.row == row]
        errors = [outcome.error for outcome in outcomes if outcome.status != "done"]
        if errors:
            why = f"failed: {errors[0]}" if errors[0] else "was not computed"
            yield Reproduction(row, False, why, _no_means(), np.nan)
            continue
        seeds = {-1 if o.cell.seed is None else o.cell.seed for o in outcomes}
        then, now = (
            scores[(scores["row"] == row) & scores["seed"].isin(seeds)]
            for scores in (report.scores, here.scores)
        )
        largest, is_same = _difference(then, now)
        learns = outcomes[0].cell.learns
        means = _row_means(then_means, now_means, row, spread, learns)
        unit = " dB" if in_decibels(then["metric"].unique()) else ""
        is_reproduced, verdict = _verdict(learns, largest, unit, is_same, means)
        if verdict == _BY_CHANCE:
            others = [
                other
                for other in dict.fromkeys(then_means["row"])
                if other in learning - {row}
                and _fits(
                    _row_means(then_means, _renamed(now_means, row, other), other, spread, True)
                )
            ]
            if others:
                verdict += f", which does not tell it from {', '.join(others)}"
        yield Reproduction(row, is_reproduced, verdict, means, largest, unit)


def _seed_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over tracks of each row and seed."""
    return over_tracks(scores, by=_CELL_KEYS)


def _training_sd(means: pd.DataFrame) -> pd.Series:
    """Return the standard deviation over trainings by target, protocol and metric, pooled.

    Only rows of `LEAST_SEEDS` seeds or more count; a figure that none of them has is left out.
    """
    by_row = means.groupby(["row", *_MEAN_KEYS], observed=True)["value"].agg(["var", "count"])
    by_row = by_row[by_row["count"] >= LEAST_SEEDS]
    pooled: pd.Series = by_row.groupby(_MEAN_KEYS, observed=True)["var"].mean() ** 0.5
    return pooled


def _row_means(
    then: pd.DataFrame, now: pd.DataFrame, row: str, spread: pd.Series, learns: bool
) -> pd.DataFrame:
    """Return the means of a row in the report and here, and by how much they may differ.

    A measure that is not in dB is left out for a row that learns, unless the report has its spread
    over trainings.
    """
    columns = []
    for means in (then, now):
        by_figure = means[means["row"] == row].groupby(_MEAN_KEYS, observed=True)
        columns.append(by_figure["value"].agg(["mean", "count"]))
    joined = columns[0].add_suffix("_then").join(columns[1].add_suffix("_now"), how="inner")
    if learns:
        # nothing is known of what trainings do to a measure that is not in dB, but by the report
        is_known = joined.index.isin(spread.index)
        joined = joined[is_known | ~joined.index.isin(WITHOUT_UNIT, level="metric")]
        names = joined.index.get_level_values("metric")
        elsewhere = [TRAINING_SD_DB.get(name, max(TRAINING_SD_DB.values())) for name in names]
        each_sd = spread.reindex(joined.index).fillna(pd.Series(elsewhere, index=joined.index))
        allowed = N_SD * each_sd * np.sqrt(1 / joined["count_then"] + 1 / joined["count_now"])
    else:
        allowed = pd.Series(PROCESSOR_DB, index=joined.index)
    return pd.DataFrame(
        {"then": joined["mean_then"], "now": joined["mean_now"], "allowed": allowed}
    ).reset_index()


def _no_means() -> pd.DataFrame:
    """Return the means of a row that was not computed."""
    return pd.DataFrame(columns=[*_MEAN_KEYS, "then", "now", "allowed"])


def _difference(then: pd.DataFrame, now: pd.DataFrame) -> tuple[float, bool]:
    """Return the largest difference of a score, and whether all are the same to the bit.

    Scores that are infinite or undefined in one and not in the other differ without bound.
    """
    texts = dict.fromkeys([k for k in _SCORE_KEYS if k not in ("seed", "window")], "str")
    one, other = (s.astype(texts).set_index(_SCORE_KEYS)["value"] for s in (then, now))
    joined = pd.concat([one, other], axis=1, keys=["then", "now"])
    a, b = joined["then"].to_numpy(), joined["now"].to_numpy()
    if len(joined) == len(one) == len(other) and np.array_equal(a, b, equal_nan=True):
        return 0.0, True
    finite = np.isfinite(a) & np.isfinite(b)
    is_alike = finite | (a == b) | (np.isnan(a) & np.isnan(b))
    if not is_alike.all():
        return np.inf, False
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)), False


def _verdict(
    learns: bool, largest: float, unit: str, is_same: bool, means: pd.DataFrame
) -> tuple[bool, str]:
    """Apply the rule to a row that was computed: whether it is reproduced, and in words."""
    if is_same:
        return True, "same to the bit"
    if largest <= ROUNDING_DB:
        return True, "same but for rounding"
    if not learns:
        if largest <= PROCESSOR_DB:
            return True, "same but for another processor's rounding"
        by = f"by {largest:.2g}{unit}" if np.isfinite(largest) else "without bound"
        return False, f"not reproduced: a score of one track differs {by}"
    if means.empty:
        return False, "not reproduced: the report has no spread over trainings to compare with"
    excess = _apart(means) - means["allowed"]
    if (excess <= 0).all():
        return True, _BY_CHANCE
    furthest = means.iloc[int(excess.fillna(np.inf).to_numpy().argmax())]
    return False, (
        f"not reproduced: {furthest['target']} {metric_name(furthest['metric'])} "
        f"{furthest['now']:.2f} for {furthest['then']:.2f}{unit_of(furthest['metric'])}"
    )


def _apart(means: pd.DataFrame) -> pd.Series:
    """Return by how much the means in the report and here differ; 0 for two that are alike."""
    both_undefined = means["now"].isna() & means["then"].isna()
    is_equal = (means["now"] == means["then"]) | both_undefined  # two infinities, too
    apart: pd.Series = (means["now"] - means["then"]).abs().mask(is_equal, 0.0)
    return apart


def _fits(means: pd.DataFrame) -> bool:
    """Return whether all means, of which there are some, are within what is allowed."""
    return len(means) > 0 and bool((_apart(means) <= means["allowed"]).all())


def _renamed(means: pd.DataFrame, row: str, other: str) -> pd.DataFrame:
    """Return the means of a row under the name of another."""
    of_row = means[means["row"] == row]
    return of_row.assign(row=other)
