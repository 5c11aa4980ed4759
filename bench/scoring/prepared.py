"""The references of a track, prepared once for every protocol and every estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.scoring.bss_eval.api import References
from bench.scoring.bss_eval.threads import on_one_thread
from bench.track import TARGETS, Track


class Prepared(References):
    """The references of a track, prepared once for every protocol and every estimate of it.

    What is prepared never depends on what was scored before, to the last bit.

    Parameters
    ----------
    track
        The track.
    known_mixture_sdr
        What `mixture_sdr` was for the same track, where it is known.

    Raises
    ------
    BenchError
        The references are so loud or so soft that plain ratios of their squares do not exist.
    """

    @on_one_thread
    def __init__(self, track: Track, known_mixture_sdr: NDArray[np.float64] | None = None) -> None:
        super().__init__(np.stack([track.references[target] for target in TARGETS]))
        if self.exponent:
            raise BenchError(
                f"track {track.name!r} has a peak beyond 1e±100: scale its references and estimates"
            )
        _ = self.lags
        self.known_mixture_sdr = known_mixture_sdr

    @property
    def array(self) -> NDArray[np.float64]:
        """The references, ``(target, channels, samples)``."""
        return np.asarray(self.signals)

    @property
    def mixture_sdr(self) -> NDArray[np.float64]:
        """SDR of the mixture, taken for each target, by version 3."""
        if self.known_mixture_sdr is None:
            mixture = np.broadcast_to(self.array.sum(axis=0), self.array.shape)
            self.known_mixture_sdr = self.score_sources(mixture).sdr
        return self.known_mixture_sdr

    @property
    def n_bytes(self) -> int:
        """Memory in bytes that it may come to take, about.

        It holds the signals, one factor of all references and one of those of each target.
        """
        n, n_targets = len(self.rows) * self.taps, len(self.signals)
        return self.rows.nbytes + n * n * 8 * (n_targets + 1) // n_targets
