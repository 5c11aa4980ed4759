"""What listeners said: mean ratings of a listening test, and which measure agrees with them.

Listeners are screened as ITU-R BS.1534-3, section 4.1.2, has it: who rates the hidden reference
below 90 in more than 15 % of the trials is left out; of three trials that is one. Its rule on a
second anchor, of 7 kHz, has no place here, since there is none. Intervals are of Student's t over
the means of the listeners, and over the means of the tracks; with three tracks the second are wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.agreement import kendall, measure_name
from bench.report.numbers import correlation
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import merit, over_seeds

#: Least rating of the hidden reference, and the share of trials in which a lower one is forgiven.
LEAST_OF_REFERENCE, FORGIVEN = 90, 0.15

#: With fewer rows than this no order of measures is compared with that of the ratings. It is less
#: than in the tables, since a listening test has 12 signals at most.
FEWEST_RATED = 4


@dataclass(frozen=True)
class RatedStimulus:
    """The ratings of one stimulus of a listening test, 0 to 100.

    Attributes
    ----------
    label, kind
        As in the test's key.
    mean
        Mean over listeners and tracks.
    over_listeners, over_tracks
        Half of the 95 % interval of the mean; NaN where there is one listener or track.
    """

    label: str
    kind: str
    mean: float
    over_listeners: float
    over_tracks: float


@dataclass(frozen=True)
class ListeningResult:
    """A listening test, rated.

    Attributes
    ----------
    target
        The target that was heard.
    tracks
        The names of its tracks.
    n_listeners, n_left_out
        Number of listeners whose ratings count, and of those left out by the hidden reference.
    stimuli
        From the highest mean to the lowest.
    agreement
        Kendall's correlation with the ratings for each measure, from the highest to the lowest,
        over the rows and the rated tracks; a distance counts with its sign changed, and a measure
        that is not finite for a row is left out.
    n_rows
        Number of rows over which measures and ratings are correlated.
    """

    target: str
    tracks: Sequence[str]
    n_listeners: int
    n_left_out: int
    stimuli: Sequence[RatedStimulus]
    agreement: Mapping[str, float]
    n_rows: int

    @property
    def sentence(self) -> str:
        """Who listened to what."""
        n, tracks = self.n_listeners, ", ".join(self.tracks)
        text = (
            f"{n} listener{'' if n == 1 else 's'} rated the {self.target} of {tracks} from 0 to "
            "100 against the known reference, without knowing what they heard (after ITU-R "
            "BS.1534-3). The anchor is the reference up to 3.5 kHz."
        )
        if self.n_left_out:
            text += (
                f" {self.n_left_out} more are left out: they rated the hidden reference below "
                f"{LEAST_OF_REFERENCE} in more than {100 * FORGIVEN:.0f} % of the tracks."
            )
        return text

    @property
    def agreement_sentence(self) -> str:
        """How well the measures agree with the listeners; empty where nothing can be said."""
        if not self.agreement:
            return ""
        best, *others = self.agreement
        text = (
            f"Over {self.n_rows} rows and these tracks, {best} agrees best with the mean ratings "
            f"(Kendall's τ {correlation(self.agreement[best])})"
        )
        if others and self.agreement[others[-1]] < self.agreement[best]:
            worst = others[-1]
            text += f", {worst} least ({correlation(self.agreement[worst])})"
        return f"{text}."


def listening_result(tables: ReportTables, facts: Mapping[str, Any]) -> ListeningResult | None:
    """Return the result of a report's listening test; None where it has none.

    Parameters
    ----------
    tables
        The tables of the experiment.
    facts
        The content of ``provenance.json``, whose entry ``listening`` holds the ratings; see
        `bench.store.ratings.read_ratings`.
    """
    test = facts.get("listening")
    if not test:
        return None
    ratings = np.asarray(test["ratings"], dtype=np.float64)  # (listeners, trials, stimuli)
    kinds = [one["kind"] for one in test["stimuli"]]
    below = ratings[:, :, kinds.index("reference")] < LEAST_OF_REFERENCE
    counted = below.mean(axis=1) <= FORGIVEN
    kept = ratings[counted]
    stimuli = [
        _rated(one["label"], one["kind"], kept[:, :, i]) for i, one in enumerate(test["stimuli"])
    ]
    means = {one.label: one.mean for one in stimuli if one.kind not in ("reference", "anchor")}
    agreement = _agreement(tables, test["target"], test["tracks"], means)
    return ListeningResult(
        test["target"],
        test["tracks"],
        len(kept),
        int((~counted).sum()),
        sorted(stimuli, key=lambda one: -one.mean) if len(kept) else stimuli,
        dict(sorted(agreement.items(), key=lambda pair: -pair[1])),
        len(means),
    )


def _rated(label: str, kind: str, ratings: NDArray[np.float64]) -> RatedStimulus:
    """Return the means of a stimulus's ratings ``(listeners, trials)``."""
    if not len(ratings):
        return RatedStimulus(label, kind, math.nan, math.nan, math.nan)
    listeners, tracks = (over_seeds(list(ratings.mean(axis=axis))) for axis in (1, 0))
    return RatedStimulus(label, kind, listeners.mean, listeners.half_width, tracks.half_width)


def _agreement(
    tables: ReportTables, target: str, tracks: Sequence[str], ratings: Mapping[str, float]
) -> dict[str, float]:
    """Return Kendall's correlation of each measure with the mean ratings of the rows.

    A measure that is infinite or undefined for a row is left out, so that all are compared over the
    same rows.
    """
    if len(ratings) < FEWEST_RATED:
        return {}
    measures: dict[str, dict[str, float]] = {}
    for part in tables.parts:
        if part.target != target:
            continue
        of_part = tables.tracks[part.protocol, target]
        for metric in part.metrics:
            measures[measure_name(tables, part, metric)] = {
                row: merit(metric)
                * float(np.mean([of_part[row, metric].on_track(t) for t in tracks]))
                for row in ratings
                if (row, metric) in of_part
            }
    compared = {
        name: [values[row] for row in ratings]
        for name, values in measures.items()
        if all(math.isfinite(values.get(row, math.nan)) for row in ratings)
    }
    correlations = {
        name: kendall(values, list(ratings.values())) for name, values in compared.items()
    }
    return {name: tau for name, tau in correlations.items() if math.isfinite(tau)}
