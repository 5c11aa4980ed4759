"""BSS Eval: SDR, SIR and SAR of estimates against the true sources.

Version 3 (``bss_eval_sources``) lets every reference pass through any filter of 512 taps before
it is compared. With P_j the projection of the estimate e onto the delayed copies of reference j,
and P that onto the delayed copies of all references:

    s_target = P_j e      e_interf = P e - P_j e      e_artif = e - P e
    SDR = |s_target|^2 / |e_interf + e_artif|^2
    SIR = |s_target|^2 / |e_interf|^2
    SAR = |s_target + e_interf|^2 / |e_artif|^2                      each 10 log10, in dB

The three parts are orthogonal, so only their energies are needed, and no filter is ever applied.
Let G be the Gram matrix of the delayed references, those of j first, ``G = C C'`` its Cholesky
factor, b the products of the delayed references with e, and y = C^-1 b. Then |s_target|^2 is the
sum of the squares of y over the rows of j, |e_interf|^2 over the others, and
|e_artif|^2 = |e|^2 - |y|^2. G depends on the references alone: `References` factors it once for
every estimate of a track.

References
----------
Vincent, Gribonval, Fevotte: Performance measurement in blind audio source separation, IEEE TASLP
14(4), 2006, eq. 6-9 (decomposition), 14-16 (ratios).
Fevotte, Gribonval, Vincent: BSS_EVAL toolbox user guide, IRISA report 1706, 2005.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.fft
import scipy.linalg
from numpy.typing import NDArray

from bench.errors import BenchError

Signals = NDArray[np.float64]
FILTER_LENGTH = 512

#: Energies below this share of the estimate's are float64 noise (130 dB down) and count as 0.
FLOOR = 1e-13


@dataclass(frozen=True)
class Scores:
    """Ratios in dB, one a target: infinite where the error is 0, NaN where undefined."""

    sdr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]


@dataclass
class References:
    """The true sources of a track, prepared once for every estimate of it.

    Parameters
    ----------
    signals
        ``(targets, channels, samples)``, float64.
    filter_length
        Taps of the allowed distortion.
    """

    signals: Signals
    filter_length: int = FILTER_LENGTH
    _factors: dict[int, tuple[NDArray[np.int64], Signals | None, Signals]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        if self.signals.ndim != 3 or self.signals.size == 0:
            raise BenchError(
                f"references have shape {self.signals.shape}; "
                "expected (targets, channels, samples), not empty"
            )
        n_targets, n_channels, n = self.signals.shape
        self.audible = np.abs(self.signals).max(axis=(1, 2)) > 0
        rows = self.signals.reshape(n_targets * n_channels, n)
        self.target_of_row = np.repeat(np.arange(n_targets), n_channels)
        self.n_fft = scipy.fft.next_fast_len(n + self.filter_length - 1, real=True)
        self.spectra = scipy.fft.rfft(rows, self.n_fft)

    def score(self, estimates: Signals) -> Scores:
        """Score estimates of every target, estimate j against reference j.

        Parameters
        ----------
        estimates
            ``(targets, channels, samples)`` in the shape of the references.

        Returns
        -------
        Scores
            NaN for a target whose reference or estimate is silent.

        Raises
        ------
        BenchError
            The shapes differ or a sample is not finite.
        """
        if estimates.shape != self.signals.shape:
            raise BenchError(
                f"estimates have shape {estimates.shape} and references {self.signals.shape}"
            )
        if not np.isfinite(estimates).all():
            raise BenchError("estimates have samples that are NaN or infinite")
        ratios = [self._score_target(j, estimate) for j, estimate in enumerate(estimates)]
        sdr, sir, sar = np.array(ratios).T
        return Scores(sdr, sir, sar)

    def _score_target(self, j: int, estimate: Signals) -> tuple[float, float, float]:
        energy = float(np.square(estimate).sum())
        if not self.audible[j] or energy == 0:
            return np.nan, np.nan, np.nan
        rows, factor, gram = self._factor(j)
        spectra = scipy.fft.rfft(estimate, self.n_fft)
        products = scipy.fft.irfft(
            self.spectra[rows, None].conj() * spectra[None], self.n_fft
        )[..., : self.filter_length]  # fmt: skip
        b = products.transpose(0, 2, 1).reshape(len(rows) * self.filter_length, -1)
        own = int((self.target_of_row[rows] == j).sum()) * self.filter_length
        if factor is not None:
            y = np.square(scipy.linalg.solve_triangular(factor, b, lower=True)).sum(axis=1)
            target, interference = float(y[:own].sum()), float(y[own:].sum())
        else:
            target = projected_energy(gram[:own, :own], b[:own])
            interference = max(projected_energy(gram, b) - target, 0.0)
        artifacts = energy - target - interference
        interference, artifacts = (
            part if part > FLOOR * energy else 0.0 for part in (interference, artifacts)
        )
        return (
            ratio_db(target, interference + artifacts),
            ratio_db(target, interference),
            ratio_db(target + interference, artifacts),
        )

    def _factor(self, j: int) -> tuple[NDArray[np.int64], Signals | None, Signals]:
        """Return the audible rows with those of target j first, and the factor of their Gram."""
        if j not in self._factors:
            audible = np.flatnonzero(np.abs(self.signals).max(axis=2).reshape(-1) > 0)
            own = self.target_of_row[audible] == j
            rows = np.concatenate([audible[own], audible[~own]])
            gram = self._gram(rows)
            try:
                factor = scipy.linalg.cholesky(gram, lower=True, check_finite=False)
            except scipy.linalg.LinAlgError:  # sources that are filtered copies of each other
                factor = None
            self._factors[j] = rows, factor, gram
        return self._factors[j]

    def _gram(self, rows: NDArray[np.int64]) -> Signals:
        """Return the products of all delayed references, ``(rows * taps, rows * taps)``."""
        taps, spectra = self.filter_length, self.spectra[rows]
        gram = np.empty((len(rows), taps, len(rows), taps))
        for a, one in enumerate(spectra):
            for b in range(a, len(rows)):
                products = scipy.fft.irfft(one.conj() * spectra[b], self.n_fft)
                ahead = products[:taps]
                behind = np.concatenate([products[:1], products[:-taps:-1]])
                gram[a, :, b] = scipy.linalg.toeplitz(ahead, behind)
                gram[b, :, a] = gram[a, :, b].T
        return gram.reshape(len(rows) * taps, len(rows) * taps)


def bss_eval_sources(
    references: Signals, estimates: Signals, filter_length: int = FILTER_LENGTH
) -> Scores:
    """Score estimates by BSS Eval version 3, estimate j against reference j.

    Parameters
    ----------
    references, estimates
        ``(targets, channels, samples)`` each.
    filter_length
        Taps of the allowed distortion.

    Returns
    -------
    Scores
        SDR, SIR and SAR in dB, one a target.

    Raises
    ------
    BenchError
        Shapes that differ, no samples, or samples that are not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sources = rng.standard_normal((2, 1, 8000))
    >>> noisy = sources + 0.1 * rng.standard_normal(sources.shape)
    >>> bss_eval_sources(sources, noisy).sdr.round(0)
    array([20., 20.])
    """
    return References(references, filter_length).score(estimates)


def projected_energy(gram: Signals, b: Signals) -> float:
    """Return ``b' G^+ b``, the energy of a projection, where G is singular."""
    values, vectors = scipy.linalg.eigh(gram)
    kept = values > values[-1] * len(values) * np.finfo(float).eps
    y = vectors[:, kept].T @ b
    return float((np.square(y).sum(axis=1) / values[kept]).sum())


def ratio_db(signal: float, error: float) -> float:
    """Return ``10 log10(signal / error)``; infinite without error, else minus infinite at 0."""
    if error == 0:
        return np.inf
    return 10 * np.log10(signal / error) if signal > 0 else -np.inf
