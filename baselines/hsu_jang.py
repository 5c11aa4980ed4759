"""Pitch-based inference: units of a filterbank are the voice's where they have its period.

    frames   a hidden Markov model tells accompaniment, unvoiced and voiced voice
    pitch    the likeliest path through the saliences of the mixture
    units    voiced frames: probability that a unit is the voice's, by its correlation at the period
             unvoiced frames: by Gaussian mixtures of its energy and the frame's cepstrum
             accompaniment: 0
    gain     sqrt(1 - subtraction N / E)+, E the unit's energy, N the accompaniment's about it

A unit is 40 ms of one filter. The model of the frames, the pitch steps and the classifiers of
units are learnt from clips whose pitch people labelled. The labels tell voiced frames; of the
others those are unvoiced in which the true voice is within 25 dB of its voiced level. It separates
a voice as far as its pitch is found, and finds consonants only by their spectrum.

Differences from the paper: two stages of harmonic/percussive separation precede the pitch, as in
the laboratory's later work, and leave so few octave errors that its trend of the voice's range is
left out; cepstra of that voice too tell the frames; a unit's label is a probability by logistic
regression instead of a threshold, and its mask acts on the suite's transform, bin by bin through
the filters' responses.

References
----------
Hsu, Jang: On the improvement of singing voice separation for monaural recordings using the MIR-1K
dataset, IEEE TASLP 18(2), 2010.
Li, Wang: Separation of singing voice from music accompaniment for monaural recordings, IEEE TASLP
15(4), 2007 (units labelled by their period).
Boll: Suppression of acoustic noise in speech using spectral subtraction, IEEE TASSP 27(2), 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from baselines.algorithms import gaussian_mixture, melody
from baselines.algorithms.gammatone import Filterbank, bin_shares
from baselines.algorithms.harmonic_percussive import two_stage_voice
from baselines.algorithms.pitch import Vector, audio_of, track_in_time, true_pitch
from bench import stft
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.methods.separator import (
    LevelledSeparator,
    Spectrogram,
    check_mixture,
    common_rate,
    separator,
)
from bench.track import TARGETS, Audio, PitchTrack, Track

Features = NDArray[np.float64]

#: What a frame holds.
ACCOMPANIMENT, UNVOICED, VOICED = range(3)
#: Energy of an unvoiced frame of the true voice against its mean voiced one, at least.
UNVOICED_SHARE = 10 ** (-25 / 10)
#: In training, the units of every so many voiced frames are learnt from.
EVERY = 4
#: Number of cepstral coefficients and of mel bands.
N_CEPSTRA, N_BANDS = 13, 40


@dataclass(frozen=True)
class Analysis:
    """What is heard in one channel before anything is decided.

    Attributes
    ----------
    audio
        ``(samples,)``.
    salience
        ``(frames, pitches)``; see `melody.harmonic_salience`.
    cepstra
        Cepstra of the mixture, ``(frames, N_CEPSTRA)``.
    features
        By which frames are told apart, ``(frames, features)``.
    """

    audio: Vector
    salience: Features
    cepstra: Features
    features: Features


@dataclass(frozen=True)
class Lesson:
    """What one training track teaches.

    Attributes
    ----------
    pitch
        Pitch of each frame in hertz, 0 where there is none; ``(frames,)``.
    kinds
        What each frame holds, ``(frames,)``.
    features
        See `Analysis`.
    voiced, unvoiced
        Features of units of voiced and unvoiced frames, ``(filters, units, features)``, and whether
        the voice is the louder source in each, ``(filters, units)``.
    """

    pitch: Vector
    kinds: NDArray[np.int_]
    features: Features
    voiced: tuple[Features, NDArray[np.bool_]]
    unvoiced: tuple[Features, NDArray[np.bool_]]


@separator
class HsuJang(LevelledSeparator):
    """Hsu and Jang's pitch-based inference; pitch and frames by the channels' mean.

    Parameters
    ----------
    filters
        Number of gammatone filters.
    components
        Gaussians of each kind of frame.
    unit_components
        Gaussians of each kind of unvoiced unit, in each filter.
    evidence
        Weight of a frame's likelihood against the steps of the hidden Markov model.
    sharpness
        Weight of the salience of a pitch against the steps of pitches.
    subtraction
        Share of the accompaniment's estimated energy that is subtracted.
    span_s
        Time in seconds about a unit over which the accompaniment's energy is estimated.
    n_fft, hop
        Window length and step of the transform in samples.
    seed
        Seed of the mixtures' starts.
    """

    VERSION: ClassVar[int] = 1
    GROUP: ClassVar[str] = "supervised"
    AFTER_TRAINING: ClassVar[frozenset[str]] = frozenset(
        {"evidence", "sharpness", "subtraction", "span_s"}
    )

    hop: int = 256
    filters: int = Field(128, ge=2)
    components: int = Field(16, ge=1)
    unit_components: int = Field(4, ge=1)
    evidence: float = Field(0.3, gt=0)
    sharpness: float = Field(2.0, gt=0)
    subtraction: float = Field(0.5, ge=0)
    span_s: float = Field(2.0, gt=0)
    seed: int = Field(0, ge=0)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Learn frames, pitch steps and units from `tracks`; see `Separator.fit`.

        Where a track has no labels of pitch, pYIN's track of the true voice takes their place.

        Raises
        ------
        BenchError
            The rates differ, or no frame is voiced.
        """
        rate, context = common_rate(tracks), context or FitContext()
        lessons = []
        for n_done, track in enumerate(tracks):
            lessons.append(self._lesson(track))
            context.report_progress(n_done + 1, len(tracks))
        if not any((lesson.pitch > 0).any() for lesson in lessons):
            raise BenchError("no frame to learn from: the training tracks have no voiced pitch")
        self.steps_ = melody.step_probabilities([lesson.pitch for lesson in lessons])
        self.transitions_ = _transition_probabilities([lesson.kinds for lesson in lessons])
        self.frames_ = self._fit_frames(
            np.concatenate([lesson.features for lesson in lessons]),
            np.concatenate([lesson.kinds for lesson in lessons]),
        )
        self.voiced_units_ = _fit_voiced(*_joined([lesson.voiced for lesson in lessons]))
        self.unvoiced_units_ = self._fit_unvoiced(*_joined([lesson.unvoiced for lesson in lessons]))
        self.rate_ = rate
        return self

    def _lesson(self, track: Track) -> Lesson:
        """Return what one training track teaches."""
        mixture = track.mixture.mean(axis=0)
        spectrogram = stft.forward(mixture[None], self.n_fft, self.hop)
        heard = self._analysis(
            mixture / float(self.level(np.abs(spectrogram)).squeeze()), track.rate
        )
        pitch = true_pitch(track, self.n_fft, self.hop)
        voice, backing = (
            self._bank(track.references[target].mean(axis=0), track.rate).energies()
            for target in TARGETS
        )
        kinds = _kinds(pitch, voice)
        sampled = np.where(np.arange(len(pitch)) % EVERY == 0, pitch, 0.0)
        energies, *correlations = self._bank(heard.audio, track.rate).periods(sampled)
        voiced, unvoiced = sampled > 0, kinds == UNVOICED
        wins = voice > backing
        return Lesson(
            pitch,
            kinds,
            heard.features,
            (_voiced_features(*correlations)[:, voiced], wins[:, voiced]),
            (_unvoiced_features(energies, heard.cepstra)[:, unvoiced], wins[:, unvoiced]),
        )

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return the units' shares, spread over the bins of the transform."""
        levelled = spectrogram / self.level(np.abs(spectrogram))
        heard = self._analysis(self._audio(levelled.mean(axis=0)), rate)
        kinds, pitch = self._decided(heard)
        pitch = np.where(kinds == VOICED, pitch, 0.0)
        spread = bin_shares(self.filters, spectrogram.shape[1], rate)
        shares = []
        for channel in levelled:
            units = self._bank(self._audio(channel), rate).periods(pitch)
            cepstra = heard.cepstra if len(levelled) == 1 else _cepstra(np.abs(channel), rate)
            share = self._subtracted(self._shares(units, cepstra, kinds), units[0], rate)
            shares.append(spread @ share)
        voice = np.stack(shares)
        return {"vocals": voice, "accompaniment": 1.0 - voice}

    def followed_pitch(self, mixture: Audio, rate: int) -> PitchTrack:
        """Return the pitch of the channels' mean, negative where no frame is voiced."""
        check_mixture(mixture, rate, self)
        spectrogram = stft.forward(mixture, self.n_fft, self.hop)
        levelled = spectrogram / self.level(np.abs(spectrogram))
        kinds, pitch = self._decided(self._analysis(self._audio(levelled.mean(axis=0)), rate))
        signed = np.where(kinds == VOICED, pitch, -pitch)
        return track_in_time(signed, rate, self.n_fft, self.hop)

    def _audio(self, channel: NDArray[np.complexfloating]) -> Vector:
        return audio_of(channel, self.n_fft, self.hop)

    def _bank(self, audio: Vector, rate: int) -> Filterbank:
        """Return the filterbank, a unit about the centre of each frame of the transform."""
        n_frames = stft.n_frames(len(audio), self.n_fft, self.hop)
        centres = (np.arange(n_frames) - stft.lead(self.n_fft, self.hop)) * self.hop
        return Filterbank(audio, rate, self.filters, centres)

    def _analysis(self, audio: Vector, rate: int) -> Analysis:
        """Hear a channel whose level is 1; see `Analysis`."""
        magnitude = np.abs(stft.forward(audio[None], self.n_fft, self.hop))[0]
        voice = two_stage_voice(audio[None], rate)
        salience = melody.harmonic_salience(voice[0], rate, self.n_fft, self.hop)
        cepstra = _cepstra(magnitude, rate)
        voice_cepstra = _cepstra(np.abs(stft.forward(voice, self.n_fft, self.hop))[0], rate)
        peaks = np.stack(
            [np.log(salience.max(axis=1) + 1e-6), melody.standardised(salience).max(axis=1)], axis=1
        )
        features = np.hstack([_with_changes(cepstra), _with_changes(voice_cepstra), peaks])
        return Analysis(audio, salience, cepstra, features)

    def _decided(self, heard: Analysis) -> tuple[NDArray[np.int_], Vector]:
        """Return what each frame holds, and the likeliest pitch in hertz, ``(frames,)`` each."""
        import librosa

        frames = self.frames_
        features = (heard.features - frames["mean"]) / frames["deviation"]
        likelihood = np.stack(
            [
                gaussian_mixture.log_likelihood(features, _of(frames, kind))
                for kind in (ACCOMPANIMENT, UNVOICED, VOICED)
            ]
        )
        likelihood = np.exp(self.evidence * (likelihood - likelihood.max(axis=0)))
        kinds = librosa.sequence.viterbi(likelihood, self.transitions_)
        pitch = melody.likeliest_pitch(heard.salience, self.steps_, self.sharpness)
        return kinds, pitch

    def _shares(
        self,
        units: tuple[Features, Features, Features],
        cepstra: Features,
        kinds: NDArray[np.int_],
    ) -> Features:
        """Return the probability that each unit is the voice's, ``(filters, frames)``."""
        energies, fine, envelope = units
        share = np.zeros_like(energies)
        voiced, unvoiced = kinds == VOICED, kinds == UNVOICED
        weights = self.voiced_units_
        features = _voiced_features(fine[:, voiced], envelope[:, voiced])
        score = np.einsum("cfk,ck->cf", features, weights[:, 1:]) + weights[:, :1]
        share[:, voiced] = scipy.special.expit(score)
        if unvoiced.any():
            learnt = self.unvoiced_units_
            features = _unvoiced_features(energies, cepstra)[:, unvoiced]
            features = (features - learnt["mean"][:, None]) / learnt["deviation"][:, None]
            for n, of_filter in enumerate(features):
                backing, voice = (
                    gaussian_mixture.log_likelihood(of_filter, _of(learnt, 2 * n + which))
                    + learnt["log_prior"][n, which]
                    for which in (0, 1)
                )
                share[n, unvoiced] = scipy.special.expit(voice - backing)
        return share

    def _subtracted(self, share: Features, energies: Features, rate: int) -> Features:
        """Return the shares less what the accompaniment about each unit makes likely in it."""
        length = max(1, round(self.span_s * rate / self.hop))
        backing, total = (
            scipy.ndimage.uniform_filter1d(values, length, axis=1)
            for values in ((1.0 - share) * energies, 1.0 - share)
        )
        noise = backing / np.maximum(total, 1e-9)
        rest = 1.0 - self.subtraction * noise / np.maximum(energies, 1e-30)
        return np.asarray(share * np.sqrt(np.clip(rest, 0.0, 1.0)))

    def _fit_frames(self, features: Features, kinds: NDArray[np.int_]) -> dict[str, Features]:
        """Fit the mixtures of the three kinds of frame, each over standardised features."""
        mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
        standardised = (features - mean) / deviation
        fallback = standardised  # of a kind that was never heard, all that was
        mixtures = [
            gaussian_mixture.fitted(
                standardised[kinds == kind] if (kinds == kind).any() else fallback,
                self.components,
                self.seed,
            )
            for kind in (ACCOMPANIMENT, UNVOICED, VOICED)
        ]
        return {"mean": mean, "deviation": deviation, **_stacked(mixtures)}

    def _fit_unvoiced(self, features: Features, wins: NDArray[np.bool_]) -> dict[str, Features]:
        """Fit two mixtures a filter: of units that are the accompaniment's, and the voice's.

        Parameters
        ----------
        features
            ``(filters, units, features)``.
        wins
            Whether the voice is louder in a unit, ``(filters, units)``.
        """
        n_features = features.shape[2]
        mean = features.mean(axis=1) if features.size else np.zeros((self.filters, n_features))
        deviation = features.std(axis=1) + 1e-6 if features.size else np.ones_like(mean)
        mixtures = []
        log_prior = np.empty((self.filters, 2))
        for n in range(self.filters):
            standardised = (features[n] - mean[n]) / deviation[n]
            for which in (0, 1):
                own = standardised[wins[n] == bool(which)]
                log_prior[n, which] = np.log((len(own) + 0.5) / (len(standardised) + 1.0))
                heard = own if len(own) else np.zeros((1, n_features))
                mixtures.append(
                    gaussian_mixture.fitted(_at_least_two(heard), self.unit_components, self.seed)
                )
        return {"mean": mean, "deviation": deviation, "log_prior": log_prior, **_stacked(mixtures)}


def _kinds(pitch: Vector, voice: Features) -> NDArray[np.int_]:
    """Return what each frame holds, ``(frames,)``, by the true pitch and the true voice's units."""
    energy = voice.sum(axis=0)
    voiced = pitch > 0
    loud = energy > UNVOICED_SHARE * (energy[voiced].mean() if voiced.any() else np.inf)
    return np.where(voiced, VOICED, np.where(loud, UNVOICED, ACCOMPANIMENT))


def _transition_probabilities(kinds: Sequence[NDArray[np.int_]]) -> Features:
    """Return how probable each kind of frame is after each, ``(3, 3)``."""
    counts = np.ones((3, 3))
    for kind in kinds:
        np.add.at(counts, (kind[:-1], kind[1:]), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _cepstra(magnitude: Features, rate: int) -> Features:
    """Return mel-frequency cepstra of magnitudes ``(bins, frames)``: ``(frames, N_CEPSTRA)``."""
    import librosa

    bands = librosa.feature.melspectrogram(S=np.square(magnitude), sr=rate, n_mels=N_BANDS)
    decibels = librosa.power_to_db(bands, amin=1e-8, top_db=None)
    return np.asarray(librosa.feature.mfcc(S=decibels, n_mfcc=N_CEPSTRA).T)


def _with_changes(cepstra: Features) -> Features:
    """Return cepstra with their first and second change over time, ``(frames, 3 N_CEPSTRA)``."""
    import librosa

    changes = (
        librosa.feature.delta(cepstra.T, width=5, order=order, mode="nearest").T for order in (1, 2)
    )
    return np.hstack([cepstra, *changes])


def _voiced_features(fine: Features, envelope: Features) -> Features:
    """Return both correlations and their squares, ``(filters, frames, 4)``."""
    return np.stack([fine, envelope, fine**2, envelope**2], axis=-1)


def _unvoiced_features(energies: Features, cepstra: Features) -> Features:
    """Return a frame's cepstra, a unit's level and its level within the frame, in nepers.

    Returns
    -------
    ndarray
        ``(filters, frames, N_CEPSTRA + 2)``.
    """
    level = np.log(energies + 1e-6)
    of_frame = np.broadcast_to(cepstra, (len(energies), *cepstra.shape))
    within = level - level.mean(axis=0)
    return np.concatenate([of_frame, level[..., None], within[..., None]], axis=-1)


def _fit_voiced(features: Features, wins: NDArray[np.bool_]) -> Features:
    """Return the weights of a logistic regression in each filter, the constant first.

    Parameters
    ----------
    features
        ``(filters, units, 4)``.
    wins
        Whether the voice is louder in a unit, ``(filters, units)``.

    Returns
    -------
    ndarray
        ``(filters, 5)``.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((len(features), features.shape[2] + 1))
    for n, (of_filter, won) in enumerate(zip(features, wins, strict=True)):
        share = (won.sum() + 0.5) / (len(won) + 1.0)
        weights[n, 0] = np.log(share / (1.0 - share))
        if won.any() and not won.all():
            model = LogisticRegression().fit(of_filter, won)
            weights[n] = np.concatenate([model.intercept_, model.coef_[0]])
    return weights


def _joined(
    parts: Sequence[tuple[Features, NDArray[np.bool_]]],
) -> tuple[Features, NDArray[np.bool_]]:
    """Return the units of all tracks: features ``(filters, units, features)`` and who wins each."""
    features, wins = zip(*parts, strict=True)
    return np.concatenate(features, axis=1), np.concatenate(wins, axis=1)


def _at_least_two(features: Features) -> Features:
    """Return features, a lone observation twice: a mixture needs two."""
    return features if len(features) > 1 else np.repeat(features, 2, axis=0)


def _stacked(mixtures: Sequence[gaussian_mixture.Mixture]) -> dict[str, Features]:
    """Return mixtures as arrays with an axis for the mixture in front."""
    return {name: np.stack([mixture[name] for mixture in mixtures]) for name in mixtures[0]}


def _of(stack: dict[str, Features], n: int) -> gaussian_mixture.Mixture:
    """Return one mixture of `_stacked`."""
    return {name: stack[name][n] for name in ("weights", "means", "variances")}
