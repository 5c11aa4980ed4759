"""Which number a score is: the protocols by name, each from a track to tidy rows.

``bss_eval_v3``: BSS Eval version 3, 512 taps, both references, identity order, whole track.
NSDR is the SDR of the estimate less that of the mixture against the same reference. A target
whose reference or estimate is silent has no score: its value is NaN, and tables count it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypedDict

import numpy as np

from bench.errors import BenchError, nearest
from bench.scoring.bss_eval import References
from bench.track import TARGETS, Audio, Track

#: In a score row, the window of a score that belongs to the whole track.
WHOLE_TRACK = -1


class ScoreRow(TypedDict):
    """One number of one track."""

    track: str
    target: str
    protocol: str
    metric: str
    window: int
    value: float
    n_samples: int


class ScoringProtocol(Protocol):
    """From a track and its estimates to rows."""

    #: Raise it with every change that moves a number: it is in the fingerprint of the scores.
    version: int

    def score(self, track: Track, estimates: Mapping[str, Audio]) -> list[ScoreRow]:
        """Score one track."""
        ...


class BssEvalV3:
    """BSS Eval version 3 over the whole track."""

    version = 1

    def score(self, track: Track, estimates: Mapping[str, Audio]) -> list[ScoreRow]:
        """Return SDR, SIR, SAR and NSDR of each target.

        Parameters
        ----------
        track
            With references ``(channels, samples)``.
        estimates
            For each target, audio of the same shape.

        Raises
        ------
        BenchError
            A target is missing, a shape differs, or an estimate is not finite.
        """
        missing = [target for target in TARGETS if target not in estimates]
        if missing:
            raise BenchError(f"track {track.name!r}: no estimate of {', '.join(missing)}")
        references = References(np.stack([track.references[t] for t in TARGETS]))
        scores = references.score(np.stack([estimates[t] for t in TARGETS]))
        baseline = references.score(np.stack([track.mixture] * len(TARGETS)))
        with np.errstate(invalid="ignore"):  # a perfect mixture: infinity less infinity
            nsdr = scores.sdr - baseline.sdr
        values = {"sdr": scores.sdr, "sir": scores.sir, "sar": scores.sar, "nsdr": nsdr}
        return [
            ScoreRow(
                track=track.name,
                target=target,
                protocol="bss_eval_v3",
                metric=metric,
                window=WHOLE_TRACK,
                value=float(values[metric][j]),
                n_samples=track.n_samples,
            )
            for j, target in enumerate(TARGETS)
            for metric in values
        ]


PROTOCOLS: dict[str, ScoringProtocol] = {"bss_eval_v3": BssEvalV3()}


def protocol(name: str) -> ScoringProtocol:
    """Return a protocol by name.

    Raises
    ------
    BenchError
        With the nearest known name.
    """
    if name not in PROTOCOLS:
        raise BenchError(f"no scoring protocol {name!r}; {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
