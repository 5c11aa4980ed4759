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
alone: `References` factors it once, ``G = C C'``, for every estimate, with all right-hand sides
together. Version 3 needs no filters: with b the products of the delayed references with e and
``y = C^-1 b``, |P e|^2 = |y|^2, and likewise for one reference. Version 4 takes all energies in
the frequency domain by Parseval, without an inverse transform. All is computed in float64.

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

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BenchError

FILTER_LENGTH = 512
#: Length of the transforms over which correlations are summed, in samples.
BLOCK = 1 << 13
#: Numbers in the largest array of a step: 64 MiB of complex values.
STEP = 1 << 22
#: Bins that are multiplied with the filters at a time, few enough to stay in the cache.
BINS = 512
#: Energies below this share of the signals' are float64 noise (130 dB down) and count as 0.
FLOOR = 1e-13
#: An interference below this share of the target is computed again without cancellation.
CLOSE = 1e-7


@dataclass(frozen=True)
class Scores:
    """Ratios in dB, ``(..., target)``, version 4 ``(..., target, window)``.

    Infinite where the error is 0, NaN where a ratio is undefined: a silent reference, or a signal
    and an error that are both 0. ISR is NaN in version 3, which has none.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]


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
        The shape is another, there are no samples, or a sample is not finite.
    """

    def __init__(self, signals: Any, filter_length: int = FILTER_LENGTH) -> None:
        self.signals = checked(signals, "references")
        if self.signals.ndim != 3:
            raise BenchError(f"references of one track have three axes, not {self.signals.ndim}")
        self.taps = filter_length
        self.n_targets, self.n_channels, self.n_samples = self.signals.shape
        self.rows = self.signals.flatten(0, 1)
        #: Whether any sample of a target is not 0.
        self.audible = (self.signals != 0).any(-1).any(-1)

    @cached_property
    def lags(self) -> Tensor:
        """Correlations of all references, ``(row, row, 2 taps - 1)``."""
        return correlations(self.rows, self.rows, self.taps)

    @cached_property
    def whole(self) -> Factor:
        """The factor of the Gram matrix of all references."""
        return Factor(self.lags)

    @cached_property
    def own(self) -> list[Factor]:
        """The factor of the Gram matrix of each reference; the first leads that of all."""
        others = [Factor(self.lags[part, part]) for part in map(self._rows_of, self.targets[1:])]
        return [self.whole.leading(self.n_channels), *others]

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
            ``(row, tap, estimate, channel)``.
        """
        lags = correlations(self.rows, estimates.flatten(0, 1), self.taps)
        ahead = lags[..., self.taps - 1 :].transpose(1, 2)
        return ahead.reshape(-1, self.taps, self.n_targets, self.n_channels)

    def _checked(self, estimates: Any) -> Tensor:
        """Return estimates on the device of the references.

        Raises
        ------
        BenchError
            The shapes differ or a sample is not finite.
        """
        tensor = checked(estimates, "estimates").to(self.signals.device)
        if tensor.shape != self.signals.shape:
            raise BenchError(
                f"estimates have shape {tuple(tensor.shape)} "
                f"and references {tuple(self.signals.shape)}"
            )
        return tensor

    def score_sources(self, estimates: Any) -> Scores:
        """Score estimates ``(target, channels, samples)`` by version 3."""
        tensor = self._checked(estimates)
        b = self._products(tensor)
        energy = torch.linalg.vector_norm(tensor, dim=(-1, -2), dtype=torch.float64).square()
        everything = self.whole.projected(b.flatten(0, 1)).sum(-1)
        target = torch.stack(
            [
                self.own[j].projected(b[self._rows_of(j), :, j].flatten(0, 1)).sum()
                for j in self.targets
            ]
        )
        interference = everything - target
        for j in self.targets:
            if interference[j] < CLOSE * target[j]:
                interference[j] = self._remainder(j, b[:, :, j])
        interference = torch.where(interference > FLOOR * energy, interference, 0.0)
        artifacts = energy - target - interference
        artifacts = torch.where(artifacts > FLOOR * energy, artifacts, 0.0)
        heard = self.audible & (energy > 0)
        sdr = ratio_db(target, interference + artifacts, heard)
        sir = ratio_db(target, interference, heard)
        sar = ratio_db(target + interference, artifacts, heard)
        return Scores(sdr, np.full_like(sdr, np.nan), sir, sar)

    def _remainder(self, j: int, b: Tensor) -> Tensor:
        """Return the energy that all references explain beyond reference j, to full precision.

        With the rows of j first, it is the part of |y|^2 that belongs to the other rows.
        """
        mine = self._rows_of(j)
        order = [*range(mine.start, mine.stop)]
        order += [row for row in range(len(self.rows)) if row not in order]
        y = Factor(self.lags[order][:, order]).half(b[order].flatten(0, 1))
        return y[self.n_channels * self.taps :].square().sum()

    def score_images(self, estimates: Any, window: int, hop: int) -> Scores:
        """Score estimates ``(target, channels, samples)`` by version 4."""
        if min(window, hop) < 1:
            raise BenchError(f"window and hop must be at least 1 sample, not {window} and {hop}")
        tensor = self._checked(estimates)
        b = self._products(tensor)
        filters = self.whole.solve(b.flatten(0, 1).flatten(1, 2)).reshape(b.shape)
        filters_own = torch.zeros_like(filters)
        for j in self.targets:
            mine = self._rows_of(j)
            found = self.own[j].solve(b[mine, :, j].flatten(0, 1))
            filters_own[mine, :, j] = found.reshape(-1, self.taps, self.n_channels)
        length = min(window, self.n_samples)
        n_fft = fast_length(length + self.taps - 1)
        # (bin, row, estimate * channel)
        hats = [
            torch.fft.rfft(f, n_fft, dim=1).transpose(0, 1).flatten(2, 3).contiguous()
            for f in (filters, filters_own)
        ]
        # (target, channel, window, sample)
        s, e = (x.unfold(-1, length, hop) for x in (self.signals, tensor))
        step = max(1, STEP // (8 * n_fft * len(self.rows)))
        parts = [
            self._energies(s[:, :, i : i + step], e[:, :, i : i + step], n_fft, *hats)
            for i in range(0, s.shape[2], step)
        ]
        return image_scores(torch.cat(parts, dim=-1))

    def _energies(
        self, s: Tensor, e: Tensor, n_fft: int, whole_hat: Tensor, own_hat: Tensor
    ) -> Tensor:
        """Return |s|^2, |e - s|^2, |p - s|^2, |q - p|^2, |e - q|^2, |p|^2, |q|^2 and |e|^2.

        Returns
        -------
        Tensor
            ``(8, target, window)``.
        """
        s, e = s.double(), e.double()
        plain = [x.square().sum((1, 3)) for x in (s, e - s, e)]
        # Parseval: each bin but the first, and the last of an even length, stands for two.
        weight = torch.full((n_fft // 2 + 1,), 2.0 / n_fft, dtype=s.dtype, device=s.device)
        weight[0] /= 2
        if n_fft % 2 == 0:
            weight[-1] /= 2
        # (bin, window, row): the matrix products below are over rows.
        s_hat, e_hat = (torch.fft.rfft(x.flatten(0, 1), n_fft).permute(2, 1, 0) for x in (s, e))
        shape = (s.shape[2], self.n_targets, 2 * self.n_channels)
        total = torch.zeros(5, *shape[:2], dtype=s.dtype, device=s.device)
        for i in range(0, len(weight), BINS):
            part = slice(i, i + BINS)
            reference, estimate = (x[part].contiguous() for x in (s_hat, e_hat))
            q = reference @ whole_hat[part]
            # Reference j reaches estimate j alone: the other rows of its filters are 0.
            p = reference @ own_hat[part]
            for k, x in enumerate((p - reference, q - p, estimate - q, p, q)):
                squares = weight[part] @ torch.view_as_real(x).square_().flatten(1)
                total[k] += squares.reshape(shape).sum(-1)
        return torch.stack([*plain[:2], *total.transpose(-1, -2), plain[2]])


def image_scores(energies: Tensor) -> Scores:
    """Return the ratios of version 4 from the energies of `References._energies`."""
    s, error, spatial, interference, artifacts, p, q, e = energies
    noise = FLOOR * (s + e)
    spatial, interference, artifacts = (
        torch.where(part > noise, part, 0.0) for part in (spatial, interference, artifacts)
    )
    heard = s > 0
    return Scores(
        ratio_db(s, error, heard),
        ratio_db(s, spatial, heard),
        ratio_db(p, interference, heard),
        ratio_db(q, artifacts, heard),
    )


class Factor:
    """A Cholesky factor of the Gram matrix of delayed signals.

    Where they depend on each other (silent or equal channels, tracks shorter than the filters),
    the least multiple of the identity that lets the matrix be factored is added: it moves no
    projection by more than its share of the energy. On the CPU the matrix is made and factored in
    place by LAPACK, half of it; on a GPU by PyTorch.

    Parameters
    ----------
    lags
        Correlations ``(row, row, 2 taps - 1)`` as `correlations` gives them.

    Raises
    ------
    BenchError
        The matrix cannot be factored.
    """

    def __init__(self, lags: Tensor) -> None:
        self.taps = (lags.shape[-1] + 1) // 2
        self.on_cpu = lags.device.type == "cpu"
        scale = float(lags[..., self.taps - 1].diagonal().max()) or 1.0
        for share in (0.0, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10):
            if self._factored(lags, share * scale):
                return
        raise BenchError("the references are too alike to be told apart by delays")

    def _factored(self, lags: Tensor, load: float) -> bool:
        """Factor the matrix with `load` added to its diagonal; tell whether that went well."""
        n, taps = len(lags), self.taps
        if self.on_cpu:
            blocks = np.empty((n, taps, n, taps))
            for a in range(n):
                for b in range(a + 1):
                    blocks[a, :, b] = toeplitz_view(lags[a, b].numpy(), taps)
            gram = blocks.reshape(n * taps, n * taps)
            if load:
                gram[np.diag_indices(n * taps)] += load
            # Its lower triangle is the upper one in LAPACK's order of axes.
            self.upper, info = scipy.linalg.lapack.dpotrf(gram.T, lower=0, clean=0, overwrite_a=1)
            return bool(info == 0)
        index = torch.arange(taps, device=lags.device)
        index = index[:, None] - index[None, :] + taps - 1
        full = lags[..., index].transpose(1, 2).reshape(n * taps, n * taps)
        full.diagonal().add_(load)
        self.lower, trouble = torch.linalg.cholesky_ex(full)
        return not bool(trouble.any())

    def leading(self, n: int) -> Factor:
        """Return the factor of the first `n` rows alone: the leading block of this one."""
        part, size = copy.copy(self), n * self.taps
        if self.on_cpu:
            part.upper = np.asfortranarray(self.upper[:size, :size])
        else:
            part.lower = self.lower[:size, :size]
        return part

    def half(self, b: Tensor) -> Tensor:
        """Return ``C^-1 b`` for columns ``(n, ...)``."""
        columns = b.reshape(len(b), -1)
        if self.on_cpu:
            y, _ = scipy.linalg.lapack.dtrtrs(self.upper, columns.numpy(), lower=0, trans=1)
            return torch.from_numpy(y).reshape(b.shape)
        solved: Tensor = torch.linalg.solve_triangular(self.lower, columns, upper=False)
        return solved.reshape(b.shape)

    def projected(self, b: Tensor) -> Tensor:
        """Return ``b' G^-1 b``, the energy of a projection, for each column."""
        return self.half(b).square().sum(0)

    def solve(self, b: Tensor) -> Tensor:
        """Return ``G^-1 b`` for columns ``(n, columns)``."""
        if self.on_cpu:
            x, _ = scipy.linalg.lapack.dpotrs(self.upper, b.numpy(), lower=0)
            return torch.from_numpy(np.ascontiguousarray(x))
        return torch.cholesky_solve(b, self.lower)


def toeplitz_view(lags: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Return the matrix ``[i, k] = lags[i - k + taps - 1]`` without a copy."""
    (step,) = lags.strides
    start = lags[taps - 1 :]
    return np.lib.stride_tricks.as_strided(start, (taps, taps), (step, -step), writeable=False)


def bss_eval_sources(references: Any, estimates: Any, filter_length: int = FILTER_LENGTH) -> Scores:
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
    return over_batch(
        lambda r, e: References(r, filter_length).score_sources(e), references, estimates
    )


def bss_eval_images(
    references: Any,
    estimates: Any,
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
    return over_batch(
        lambda r, e: References(r, filter_length).score_images(e, window, hop),
        references,
        estimates,
    )


def over_batch(
    score: Callable[[Tensor, Tensor], Scores], references: Any, estimates: Any
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


def checked(signals: Any, what: str) -> Tensor:
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
    # A sum that is finite has no other term in it, and needs no copy of a long track.
    if not bool(torch.isfinite(tensor.sum(-1)).all()):
        raise BenchError(f"{what} have samples that are NaN or infinite")
    return tensor


def fast_length(n: int) -> int:
    """Return the least length from `n` on that has no prime factor above 5."""
    return int(scipy.fft.next_fast_len(n, real=True))


def correlations(a: Tensor, b: Tensor, taps: int) -> Tensor:
    """Return ``sum_t a[t] b[t + lag]`` for every pair of rows and lags of up to ``taps - 1``.

    A block of a meets the same stretch of b and ``taps - 1`` samples on each side; the products of
    their transforms are summed over blocks, and one inverse transform a pair gives all lags.

    Parameters
    ----------
    a, b
        ``(row, samples)``.
    taps
        One more than the largest lag.

    Returns
    -------
    Tensor
        ``(row of a, row of b, 2 taps - 1)``: lags from ``1 - taps`` on.
    """
    reach, n_samples = taps - 1, a.shape[-1]
    n_fft = max(BLOCK, fast_length(4 * taps))
    length = n_fft - 2 * reach
    step = length * max(1, STEP // ((len(a) + len(b)) * n_fft))
    total = torch.zeros(n_fft // 2 + 1, len(a), len(b), dtype=torch.complex128, device=a.device)
    for start in range(0, n_samples, step):
        end = start + length * -(-min(step, n_samples - start) // length)
        blocks_a = stretch(a, start, end).unfold(-1, length, length)
        blocks_b = stretch(b, start - reach, end + reach).unfold(-1, n_fft, length)
        # (bin, row of a, block) @ (bin, block, row of b)
        one = torch.fft.rfft(blocks_a, n_fft).permute(2, 0, 1)
        two = torch.fft.rfft(blocks_b, n_fft).permute(2, 1, 0)
        total += one.contiguous().conj_physical_() @ two.contiguous()
    lags: Tensor = torch.fft.irfft(total.permute(1, 2, 0), n_fft)
    return lags[..., : 2 * reach + 1]


def stretch(rows: Tensor, start: int, end: int) -> Tensor:
    """Return the samples from `start` to `end` as float64, zeros beyond either end of the rows."""
    n = rows.shape[-1]
    inside = rows[:, max(start, 0) : min(end, n)].double()
    return torch.nn.functional.pad(inside, (max(-start, 0), max(end - n, 0)))


def ratio_db(signal: Tensor, error: Tensor, defined: Tensor) -> NDArray[np.float64]:
    """Return ``10 log10(signal / error)``; NaN where it is not defined, or 0 over 0."""
    ratio = 10 * torch.log10(signal / error)
    made: NDArray[np.float64] = torch.where(defined, ratio, torch.nan).cpu().numpy()
    return made
