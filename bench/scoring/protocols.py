"""Which number a score is: the protocols by name, each from a track to tidy rows.

``bss_eval_v3``
    BSS Eval version 3, 512 taps, all references, identity order, whole track; NSDR is the SDR of
    the estimate less that of the mixture against the same reference. The protocol of Huang et al.
``bss_eval_v4``
    BSS Eval version 4, 512 taps found on the whole track, windows of one second at the track's own
    rate, without overlap.
``museval``
    What `museval.evaluate` of museval 0.4.1 gives by default, its quirks kept: windows of 44,100
    samples at any rate (museval's commands take one second of the track's own rate instead); a
    window counts for no target where the channels of any reference or estimate add up to 0 in
    every sample, so that stereo in anti-phase counts as silence.
``usdr``
    The plain ratio of the Music Demixing Challenge: 10 log10 of (|s|^2 + c) / (|s - e|^2 + c) over
    the whole track, c = 1e-7 (Mitsufuji et al., Frontiers in Signal Processing 1, 2022, eq. 3).
``si_sdr``
    Scale-invariant SDR over the whole track, one gain for all channels (Le Roux et al., ICASSP
    2019, eq. 2).
``mr_stft``
    Multi-resolution STFT distance over the whole track: see `bench.scoring.spectral`. Less is
    better.
``bleed_fullness``
    Bleedless and fullness over the whole track, 0 to 100 each: see `bench.scoring.spectral`.
``melody``
    How well the pitch that a method follows agrees with the labels of the voice: see
    `bench.scoring.melody`. Undefined for methods that follow no pitch, and without labels.

Silence, one rule for all but museval: a score is of one target, and it is undefined where that
target's own reference is silent, whatever the others do. A whole track is silent where every sample
is 0; a window is silent where its mean power is `SILENCE` or less of its track's. An undefined
score is NaN; tables count it and leave it out.

An estimate of an audible reference counts: where its ratio does not exist, as that of a silent
estimate, its score is minus infinity, the worst there is, so that no method gains by silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, check_known
from bench.scoring import spectral
from bench.scoring.melody import MEASURES, melody_scores
from bench.track import TARGETS, Audio, PitchTrack, Track

if TYPE_CHECKING:
    from bench.scoring.bss_eval.ratios import Scores
    from bench.scoring.prepared import Prepared

#: In a score row, the window of a score that belongs to the whole track.
WHOLE_TRACK = -1
#: Share of a reference's mean power at which a window of it is silent: 100 dB down.
SILENCE = 1e-10
#: Keeps uSDR defined; the challenge's own value.
USDR_CONSTANT = 1e-7

Signals = NDArray[np.float64]
Values = Mapping[str, NDArray[np.float64]]


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
    """From a track to the values of each target: ``(target,)`` or ``(target, window)``."""

    #: Raise it with every change that moves a number: it is in the fingerprint of the scores.
    version: ClassVar[int]
    #: How its numbers are made and averaged, for captions.
    description: ClassVar[str]

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return values by metric.

        Parameters
        ----------
        references
            Prepared references of the track.
        estimates
            ``(target, channels, samples)``.
        rate
            Hertz.
        """
        ...


@dataclass(frozen=True)
class BssEvalV3:
    """BSS Eval version 3 over the whole track."""

    version: ClassVar[int] = 2
    description: ClassVar[str] = (
        "BSS Eval v3 (512 taps, whole track); means over tracks weighted by length"
    )

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return SDR, SIR, SAR and NSDR of each target."""
        scores = references.score_sources(estimates)
        silent = _silent(references.array)
        sdr, sir, sar = (_or_worst(v, silent) for v in (scores.sdr, scores.sir, scores.sar))
        with np.errstate(invalid="ignore"):  # a perfect mixture: infinity less infinity
            nsdr = sdr - references.mixture_sdr
        return {"sdr": sdr, "sir": sir, "sar": sar, "nsdr": nsdr}


@dataclass(frozen=True)
class BssEvalV4:
    """BSS Eval version 4 in windows of one second."""

    version: ClassVar[int] = 2
    description: ClassVar[str] = (
        "BSS Eval v4 (512 taps, windows of 1 s); median over windows, then over tracks"
    )

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return SDR, ISR, SIR and SAR of each target and window."""
        scores = references.score_images(estimates, rate, rate)
        energy = np.stack([np.einsum("cn,cn->n", s, s) for s in references.array])
        power = _window_sums(energy, rate, rate) / min(rate, energy.shape[-1])
        silent = power <= SILENCE * energy.mean(axis=1, keepdims=True)
        return {k: _or_worst(v, silent) for k, v in _by_metric(scores, silent).items()}


@dataclass(frozen=True)
class Museval:
    """BSS Eval version 4 as museval 0.4.1 gives it by default."""

    version: ClassVar[int] = 1
    description: ClassVar[str] = (
        "as museval 0.4.1 (BSS Eval v4, windows of 44,100 samples); "
        "median over windows, then over tracks"
    )
    WINDOW: ClassVar[int] = 44_100

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return SDR, ISR, SIR and SAR of each target and window."""
        scores = references.score_images(estimates, self.WINDOW, self.WINDOW)
        silent = np.zeros(scores.sdr.shape, dtype=bool)
        for signals in (references.array, estimates):
            loud = np.abs(signals.sum(axis=1))
            silent |= (_window_sums(loud, self.WINDOW, self.WINDOW) == 0).any(axis=0)
        return _by_metric(scores, silent)


@dataclass(frozen=True)
class Usdr:
    """The plain ratio of signal to error over the whole track."""

    version: ClassVar[int] = 1
    description: ClassVar[str] = "uSDR (whole track); mean over tracks"

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return uSDR of each target."""
        signal = np.square(references.array).sum(axis=(1, 2))
        error = np.square(references.array - estimates).sum(axis=(1, 2))
        ratio = 10 * np.log10((signal + USDR_CONSTANT) / (error + USDR_CONSTANT))
        return {"usdr": np.where(signal > 0, ratio, np.nan)}


@dataclass(frozen=True)
class MultiResolutionStft:
    """Distance of magnitude spectrograms at three resolutions."""

    version: ClassVar[int] = 1
    description: ClassVar[str] = (
        "Multi-resolution STFT distance (windows of 23, 46 and 93 ms, whole track); mean over "
        "tracks, less is better"
    )

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return the distance of each target."""
        pairs = zip(references.array, estimates, strict=True)
        distances = [spectral.multi_resolution_distance(s, e, rate) for s, e in pairs]
        return {"mr_stft": np.asarray(distances)}


@dataclass(frozen=True)
class BleedFullness:
    """How little an estimate adds to its reference, and how little it leaves out."""

    version: ClassVar[int] = 2
    description: ClassVar[str] = (
        "Bleedless and fullness (512 mel bands, windows of 93 ms, whole track), 0 to 100; mean "
        "over tracks"
    )

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return bleedless and fullness of each target."""
        pairs = zip(references.array, estimates, strict=True)
        bleedless, fullness = zip(
            *(spectral.bleedless_and_fullness(s, e, rate) for s, e in pairs), strict=True
        )
        return {"bleedless": np.asarray(bleedless), "fullness": np.asarray(fullness)}


@dataclass(frozen=True)
class Melody:
    """The pitch that a method follows against the labels: no measure of its estimates."""

    version: ClassVar[int] = 1
    description: ClassVar[str] = (
        "Pitch of the voice as the method follows it, against the labels (mir_eval.melody, half a "
        "semitone), in per cent; mean over tracks"
    )

    def values(self, labels: PitchTrack | None, followed: PitchTrack | None) -> Values:
        """Return the measures of the voice, ``(target,)``; see `melody_scores`."""
        scores = dict.fromkeys(MEASURES, np.nan)
        if labels is not None and followed is not None:
            scores = melody_scores(labels, followed)
        is_voice = np.array([target == "vocals" for target in TARGETS])
        return {name: np.where(is_voice, value, np.nan) for name, value in scores.items()}


@dataclass(frozen=True)
class SiSdr:
    """Scale-invariant SDR over the whole track, and its gain over that of the mixture."""

    version: ClassVar[int] = 2
    description: ClassVar[str] = "SI-SDR (whole track); mean over tracks"

    def values(self, references: Prepared, estimates: Signals, rate: int) -> Values:
        """Return SI-SDR of each target, and SI-SDRi over the mixture."""
        sources = references.array
        mixture = np.broadcast_to(sources.sum(axis=0), sources.shape)
        ours = _or_worst(_scale_invariant(sources, estimates), _silent(sources))
        with np.errstate(invalid="ignore"):  # a perfect mixture: infinity less infinity
            gain = ours - _scale_invariant(sources, mixture)
        return {"si_sdr": ours, "si_sdri": gain}


def _silent(references: Signals) -> NDArray[np.bool_]:
    """Return whether every sample of a reference is 0, ``(target,)``."""
    return np.asarray(~references.any(axis=(1, 2)))


def _or_worst(values: NDArray[np.float64], silent: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return scores, minus infinity where one is undefined though its reference is not `silent`."""
    return np.where(np.isnan(values) & ~silent, -np.inf, values)


def _scale_invariant(references: Signals, estimates: Signals) -> NDArray[np.float64]:
    """Return ``10 log10(|a s|^2 / |a s - e|^2)`` with ``a = <e, s> / |s|^2``, one a target."""
    energy = np.square(references).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = (references * estimates).sum(axis=(1, 2)) / energy
        target = gain[:, None, None] * references
        error = np.square(target - estimates).sum(axis=(1, 2))
        ratio: NDArray[np.float64] = 10 * np.log10(np.square(target).sum(axis=(1, 2)) / error)
    return ratio


def _window_sums(values: NDArray[np.float64], window: int, hop: int) -> NDArray[np.float64]:
    """Return sums over the windows of ``(target, samples)``: those of `References.score_images`."""
    window = min(window, values.shape[-1])
    views = np.lib.stride_tricks.sliding_window_view(values, window, axis=-1)[:, ::hop]
    sums: NDArray[np.float64] = views.sum(axis=-1)
    return sums


def _by_metric(scores: Scores, silent: NDArray[np.bool_]) -> Values:
    """Return the metrics of version 4, undefined where `silent`."""
    metrics = {"sdr": scores.sdr, "isr": scores.isr, "sir": scores.sir, "sar": scores.sar}
    return {name: np.where(silent, np.nan, value) for name, value in metrics.items()}


PROTOCOLS: dict[str, ScoringProtocol | Melody] = {
    "bss_eval_v3": BssEvalV3(),
    "bss_eval_v4": BssEvalV4(),
    "museval": Museval(),
    "usdr": Usdr(),
    "si_sdr": SiSdr(),
    "mr_stft": MultiResolutionStft(),
    "bleed_fullness": BleedFullness(),
    "melody": Melody(),
}


def protocol(name: str) -> ScoringProtocol | Melody:
    """Return a protocol by name.

    Raises
    ------
    BenchError
        With the nearest known name.
    """
    check_known("scoring protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def scores_pitch(name: str) -> bool:
    """Tell whether a protocol scores the pitch that a method follows, and not its estimates.

    One that this version does not know, as another may have written it into a cell, does not.
    """
    return isinstance(PROTOCOLS.get(name), Melody)


def score_track(
    name: str,
    track: Track,
    estimates: Mapping[str, Audio],
    prepared: Prepared | None = None,
    followed: PitchTrack | None = None,
) -> list[ScoreRow]:
    """Score one track under a protocol.

    Parameters
    ----------
    name
        Name of the protocol.
    track
        With references ``(channels, samples)``.
    estimates
        For each target, audio of as many channels; one that is shorter than its reference is
        filled with zeros at its end, one that is longer is cut.
    prepared
        The track's references, where they were prepared before.
    followed
        The pitch that the method followed, which ``melody`` scores and no other protocol reads.

    Returns
    -------
    list of ScoreRow
        A row a target, metric and window; the window is `WHOLE_TRACK` where there is but one
        value a track.

    Raises
    ------
    BenchError
        The protocol is unknown, a target is missing, the channels differ, or an estimate is not
        finite.
    """
    from bench.scoring.prepared import Prepared

    chosen = protocol(name)
    if isinstance(chosen, Melody):
        values = chosen.values(track.labelled_pitch(), followed)
    else:
        missing = [target for target in TARGETS if target not in estimates]
        if missing:
            raise BenchError(f"track {track.name!r}: no estimate of {', '.join(missing)}")
        fitted = [_fit_length(estimates[target], track, target) for target in TARGETS]
        values = chosen.values(prepared or Prepared(track), np.stack(fitted), track.rate)
    return [
        ScoreRow(
            track=track.name,
            target=target,
            protocol=name,
            metric=metric,
            window=WHOLE_TRACK if array.ndim == 1 else window,
            value=float(value),
            n_samples=track.n_samples,
        )
        for j, target in enumerate(TARGETS)
        for metric, array in values.items()
        for window, value in enumerate(np.atleast_1d(array[j]))
    ]


def _fit_length(estimate: Audio, track: Track, target: str) -> Audio:
    """Return an estimate with as many samples as the track, zeros added or the end cut.

    Raises
    ------
    BenchError
        It has another number of channels, or samples that are not finite.
    """
    n_channels = track.references[target].shape[0]
    what = f"the estimate of {target} of track {track.name!r}"
    if estimate.ndim != 2 or estimate.shape[0] != n_channels:
        raise BenchError(f"{what} has shape {estimate.shape}, not ({n_channels}, samples)")
    if not np.isfinite(estimate).all():
        raise BenchError(f"{what} has samples that are NaN or infinite")
    cut = estimate[:, : track.n_samples]
    return np.pad(cut, ((0, 0), (0, track.n_samples - cut.shape[1])))
