"""BSS Eval: SDR, ISR, SIR and SAR of estimates against the true sources.

Let P_j e be the projection of an estimate e onto the copies of reference j delayed by 0 to 511
samples, channel by channel, and P e that onto the delayed copies of all references.

Version 3 (`bss_eval_sources`) lets every reference pass through any filter of 512 taps:

    s_target = P_j e      e_interf = P e - P_j e      e_artif = e - P e
    SDR = |s_target|^2 / |e_interf + e_artif|^2
    SIR = |s_target|^2 / |e_interf|^2
    SAR = |s_target + e_interf|^2 / |e_artif|^2

Version 4 (`bss_eval_images`) finds the filters once on the whole track, applies them to the
references window by window, and compares with the reference as it is. In a window, with s the
reference, p = P_j e and q = P e,

    SDR = |s|^2 / |e - s|^2         ISR = |s|^2 / |p - s|^2
    SIR = |p|^2 / |q - p|^2         SAR = |q|^2 / |e - q|^2         each 10 log10, in dB

What makes it fast. Correlations are summed over blocks in the frequency domain, so memory does not
grow with the track. G, the Gram matrix of the delayed references, depends on the references
alone: `References` factors it once, ``G = C C'``, for every estimate, and as G is block Toeplitz,
in the square of its size. Version 3 needs no signals: with b the products of the delayed references
with e, and x the filters of P_j e, |P_j e|^2 = x'b, and what is left of b, ``r = b - G x``, gives
|P e - P_j e|^2 = r' G^-1 r without cancellation, however small it is. Version 4 takes all energies
in the frequency domain by Parseval, without an inverse transform. All is computed in float64.
References that nearly depend on each other, rounded channels of a panned voice among them, go by
their signals instead, and memory then grows with the track: see `dependent`.

References
----------
Vincent, Gribonval, Fevotte: Performance measurement in blind audio source separation, IEEE TASLP
14(4), 2006, eq. 6-9 (decomposition), 14-16 (ratios).
Vincent, Sawada, Bofill, Makino, Rosca: First stereo audio source separation evaluation campaign,
ICA 2007, eq. 1-6 (images, ISR).
Stoeter, Liutkus, Ito: The 2018 signal separation evaluation campaign, LVA/ICA 2018, section 3
(version 4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BenchError
from bench.scoring.bss_eval.dependent import NEAR_BY_DELAYS, DependentSignals, is_near
from bench.scoring.bss_eval.level import check_range, exponent_of, peaks_of, times_power_of_two
from bench.scoring.bss_eval.projection import Factor, correlations
from bench.scoring.bss_eval.ratios import Scores, image_scores, source_scores
from bench.scoring.bss_eval.threads import on_one_thread
from bench.scoring.bss_eval.windows import energies

FILTER_LENGTH = 512

#: Audio as NumPy or PyTorch hold it, of any real type.
Signals: TypeAlias = NDArray[Any] | Tensor


class References:
    """The true sources of a track, prepared once for every estimate of it.

    Parameters
    ----------
    signals
        ``(target, channels, samples)``, NumPy or PyTorch, on any device.
    filter_length
        Taps of the allowed distortion.

    Raises
    ------
    BenchError
        The shape is another, there are no samples, a sample is not finite, or one target is louder
        than another by more than 2,000 dB.
    """

    @on_one_thread
    def __init__(self, signals: Signals, filter_length: int = FILTER_LENGTH) -> None:
        self.signals = checked(signals, "references")
        if self.signals.ndim != 3:
            raise BenchError(f"references of one track have three axes, not {self.signals.ndim}")
        self.taps = filter_length
        self.n_targets, self.n_channels, self.n_samples = self.signals.shape
        peaks = peaks_of(self.signals)
        #: Whether any sample of a target is not 0.
        self.audible = peaks > 0
        #: The power of two by which references and estimates are multiplied, so that their squares
        #: exist: 0 for any usual level. No score depends on it.
        self.exponent = exponent_of(peaks)
        self.scaled = times_power_of_two(self.signals, self.exponent)
        check_range(times_power_of_two(peaks, self.exponent), "references of one track")
        self.rows = self.scaled.flatten(0, 1)

    @cached_property
    def lags(self) -> Tensor:
        """Correlations of all references, ``(row, row, taps)``."""
        return correlations(self.rows, [self.rows], self.taps)

    @cached_property
    def whole(self) -> Factor:
        """The factor of the Gram matrix of all references."""
        return Factor(self.lags)

    @cached_property
    def own(self) -> list[Factor]:
        """The factor of the Gram matrix of each reference."""
        return [Factor(self.lags[part, part]) for part in map(self._rows_of, self.targets)]

    @property
    def targets(self) -> range:
        """The numbers of the targets."""
        return range(self.n_targets)

    def _rows_of(self, j: int) -> slice:
        return slice(j * self.n_channels, (j + 1) * self.n_channels)

    def _products(self, estimates: Tensor) -> Tensor:
        """Return the products of the delayed references with the estimates.

        Returns
        -------
        Tensor
            ``(tap, row, estimate, channel)``.
        """
        rows = estimates.flatten(0, 1)
        if "lags" in vars(self):
            lags = correlations(self.rows, [rows], self.taps)
        else:  # one pass over the references serves both
            both = correlations(self.rows, [self.rows, rows], self.taps)
            vars(self)["lags"], lags = both[:, : len(rows)], both[:, len(rows) :]
        shape = (self.taps, len(self.rows), self.n_targets, self.n_channels)
        return lags.permute(2, 0, 1).reshape(shape).contiguous()

    def _filters_alone(self, b: Tensor) -> Tensor:
        """Return, shaped as b, the filters of each reference that come nearest its own estimate."""
        filters = torch.zeros_like(b)
        for j in self.targets:
            own_rows = self._rows_of(j)
            solution = self.own[j].solve(b[:, own_rows, j].flatten(0, 1))
            filters[:, own_rows, j] = solution.reshape(self.taps, self.n_channels, self.n_channels)
        return filters

    def _dependent_filters(self, estimates: Tensor) -> tuple[Tensor, Tensor]:
        """Return the filters of all references and of each alone, shaped as `_products`."""
        all_filters = [self.all_dependent.project(estimate)[1] for estimate in estimates]
        whole = torch.stack(all_filters, dim=2)
        alone = torch.zeros_like(whole)
        for j in self.targets:
            alone[:, self._rows_of(j), j] = self.each_dependent[j].project(estimates[j])[1]
        return whole.contiguous(), alone

    def _checked(self, estimates: Signals) -> Tensor:
        """Return estimates on the device of the references.

        Raises
        ------
        BenchError
            The shapes differ, a sample is not finite, or an estimate is louder or softer than the
            references by more than 2,000 dB.
        """
        tensor = checked(estimates, "estimates").to(self.signals.device)
        if tensor.shape != self.signals.shape:
            raise BenchError(
                f"estimates have shape {tuple(tensor.shape)} "
                f"and references {tuple(self.signals.shape)}"
            )
        tensor = times_power_of_two(tensor, self.exponent)
        check_range(peaks_of(tensor), "estimates and references")
        return tensor

    @cached_property
    def are_near(self) -> bool:
        """Whether references, or channels of one, nearly depend on each other."""
        if is_near(self.rows, self.lags):
            return True
        shape = self.taps, self.n_targets, self.n_channels
        pivots = self.whole.pivots().reshape(shape)
        alone = (self.own[j].pivots().reshape(self.taps, -1) for j in self.targets)
        shares = [pivots[:, j] / own for j, own in zip(self.targets, alone, strict=True)]
        return any(bool((share < NEAR_BY_DELAYS).any()) for share in shares)

    @cached_property
    def all_dependent(self) -> DependentSignals:
        """The references, where they nearly depend on each other."""
        return DependentSignals(self.rows, self.taps)

    @cached_property
    def each_dependent(self) -> list[DependentSignals]:
        """The channels of each reference, where some signals nearly depend on each other."""
        parts = map(self._rows_of, self.targets)
        return [DependentSignals(self.rows[part], self.taps) for part in parts]

    @on_one_thread
    def score_sources(self, estimates: Signals) -> Scores:
        """Score estimates ``(target, channels, samples)`` by version 3."""
        tensor = self._checked(estimates)
        b = self._products(tensor)
        energy = torch.linalg.vector_norm(tensor, dim=(-1, -2), dtype=torch.float64).square()
        if self.are_near:
            own = [self.each_dependent[j].project(tensor[j])[0] for j in self.targets]
            whole = [self.all_dependent.project(tensor[j])[0] for j in self.targets]
            target = torch.stack([p.square().sum() for p in own])
            beyond = [(q - p).square().sum() for p, q in zip(own, whole, strict=True)]
            return source_scores(energy, target, torch.stack(beyond), self.audible)
        alone = self._filters_alone(b)
        # In their own rows the filters leave rounding, which corrects x'b as in `Factor.energy`;
        # in the others, what those explain beyond them.
        rest = b - self.whole.product(alone.flatten(0, 1)).reshape(b.shape)
        target = (alone * (b + rest)).sum((0, 1, 3))
        beyond = [self.whole.energy(rest[:, :, j].flatten(0, 1)) for j in self.targets]
        interference = torch.stack(beyond)
        return source_scores(energy, target, interference, self.audible)

    @on_one_thread
    def score_images(self, estimates: Signals, window: int, hop: int) -> Scores:
        """Score estimates ``(target, channels, samples)`` by version 4."""
        if min(window, hop) < 1:
            raise BenchError(f"window and hop must be at least 1 sample, not {window} and {hop}")
        tensor = self._checked(estimates)
        b = self._products(tensor)
        if self.are_near:
            whole, alone = self._dependent_filters(tensor)
        else:
            whole = self.whole.solve(b.flatten(0, 1).flatten(1, 2)).reshape(b.shape)
            alone = self._filters_alone(b)
        return image_scores(energies(self.scaled, tensor, whole, alone, window, hop))


def bss_eval_sources(
    references: Signals, estimates: Signals, filter_length: int = FILTER_LENGTH
) -> Scores:
    """Score estimates by BSS Eval version 3, estimate j against reference j.

    Parameters
    ----------
    references, estimates
        ``(..., target, channels, samples)`` each, NumPy or PyTorch, on any device; axes before the
        target are a batch of tracks of one length.
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
    return _over_batch(
        lambda r, e: References(r, filter_length).score_sources(e), references, estimates
    )


def bss_eval_images(
    references: Signals,
    estimates: Signals,
    window: int,
    hop: int,
    filter_length: int = FILTER_LENGTH,
) -> Scores:
    """Score estimates by BSS Eval version 4, estimate j against reference j, window by window.

    Parameters
    ----------
    references, estimates
        ``(..., target, channels, samples)`` each, NumPy or PyTorch, on any device; axes before the
        target are a batch of tracks of one length.
    window, hop
        In samples; a last window that would pass the end is left out, and a window longer than
        the track is the track.
    filter_length
        Taps of the allowed distortion.

    Returns
    -------
    Scores
        SDR, ISR, SIR and SAR in dB, one a target and window.

    Raises
    ------
    BenchError
        Shapes that differ, no samples, or samples that are not finite.
    """
    return _over_batch(
        lambda r, e: References(r, filter_length).score_images(e, window, hop),
        references,
        estimates,
    )


def _over_batch(
    score: Callable[[Tensor, Tensor], Scores], references: Signals, estimates: Signals
) -> Scores:
    """Score each track of a batch."""
    one, two = checked(references, "references"), checked(estimates, "estimates")
    if one.ndim == 3:
        return score(one, two)
    if one.shape != two.shape:
        raise BenchError(
            f"estimates have shape {tuple(two.shape)} and references {tuple(one.shape)}"
        )
    batch = one.shape[:-3]
    tracks = zip(one.flatten(0, -4), two.flatten(0, -4), strict=True)
    scores = [score(*track) for track in tracks]
    stacks = (np.stack([getattr(s, f.name) for s in scores]) for f in dataclasses.fields(Scores))
    return Scores(*(stack.reshape(*batch, *stack.shape[1:]) for stack in stacks))


def checked(signals: Signals, what: str) -> Tensor:
    """Return signals as a tensor on their own device, in their own precision.

    They become float64 block by block where they are used, so that memory stays flat.
    """
    if isinstance(signals, np.ndarray):
        signals = torch.from_numpy(np.require(signals, requirements=["W", "C"]))
    tensor: Tensor = torch.as_tensor(signals)
    tensor = tensor if tensor.is_floating_point() else tensor.double()
    if tensor.ndim < 3 or tensor.numel() == 0:
        raise BenchError(
            f"{what} have shape {tuple(tensor.shape)}; "
            "expected (targets, channels, samples), not empty"
        )
    # A finite sum has only finite terms, and needs no copy of a long track; a sum may overflow.
    if not (torch.isfinite(tensor.sum(-1)).all() or torch.isfinite(tensor).all()):
        raise BenchError(f"{what} have samples that are NaN or infinite")
    return tensor
