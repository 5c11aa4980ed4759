"""Pitch-based inference: units of a filterbank are the voice's where they have its period.

    frames   a hidden Markov model tells accompaniment, unvoiced and voiced voice
    pitch    the likeliest path through the saliences of the mixture
    units    voiced frames: the probability that a unit has the voice's period
             unvoiced frames: the probability that its energy and the frame's cepstra are a voice's
             accompaniment: 0
    rest     what spectral subtraction leaves of each unit

See `algorithms.frame_kinds`, `algorithms.predominant_pitch` and `algorithms.voice_units`. All
models are learnt from clips whose pitch people labelled; where labels are missing, pYIN's pitch of
the true voice takes their place. Frames with a pitch are voiced, and of the others those are
unvoiced in which the true voice is within 25 dB of its voiced level. It separates a voice as far as
its pitch is found, and finds consonants only by their spectrum.

Differences from the paper: two stages of harmonic/percussive separation precede the pitch, as in
the laboratory's later work; the trend of the voice's range is not estimated, since few octave
errors are left behind them; cepstra of that voice too tell the frames; the filters have no phase;
a unit's label is a probability by logistic regression instead of a threshold, and its mask acts on
the suite's transform, bin by bin through what the filters pass.

References
----------
Hsu, Jang: On the improvement of singing voice separation for monaural recordings using the MIR-1K
dataset, IEEE TASLP 18(2), 2010.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from baselines.algorithms import frame_kinds, predominant_pitch, voice_units
from baselines.algorithms.frame_kinds import UNVOICED, VOICED
from baselines.algorithms.gammatone import Filterbank, bin_shares
from baselines.algorithms.harmonic_percussive import (
    KERNEL,
    LONG_MS,
    SHORT_MS,
    alignment,
    lookahead,
    two_stage_voice,
)
from baselines.algorithms.pitch import Vector, audio_of, pitch_track_of_frames, true_pitch
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
from bench.methods.subsample import fit_in_memory
from bench.track import TARGETS, Audio, PitchTrack, Track

_Number = TypeVar("_Number", np.float64, np.complex128)

Features = NDArray[np.float64]
#: Features of units, and whether the voice is the louder source in each.
Examples = tuple[NDArray[np.float32], NDArray[np.bool_]]

#: Units are learnt from voiced frames whose number is a multiple of this.
EVERY = 4


@dataclass(frozen=True)
class Analysis:
    """Audio and features of one channel, before kinds of frame or pitch are decided.

    Attributes
    ----------
    audio
        Audio of level 1, ``(samples,)``.
    salience
        Salience of each pitch, ``(frames, pitches)``.
    cepstra
        Cepstra of the mixture, ``(frames, coefficients)``.
    features
        By which kinds of frame are told apart, ``(frames, features)``.
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
    voiced: Examples
    unvoiced: Examples


@separator
class HsuJang(LevelledSeparator):
    """Hsu and Jang's pitch-based inference.

    Pitch and kinds of frame are found once, on the mean of the channels; units in each channel.

    Parameters
    ----------
    filters
        Number of gammatone filters.
    components
        Gaussians of each kind of frame.
    unit_components
        Gaussians of unvoiced units of each source, in each filter.
    evidence
        Weight of a frame's features against the transitions between kinds of frame.
    sharpness
        Weight of the salience of a pitch against the steps between pitches.
    subtraction
        Share of the accompaniment's estimated energy that is subtracted.
    span_s
        Time in seconds about a unit over which the accompaniment's energy is estimated.
    n_fft, hop
        Window length and step of the transform in samples.
    seed
        Seed of the starts of the Gaussian mixtures.
    """

    VERSION: ClassVar[int] = 1
    GROUP: ClassVar[str] = "supervised"
    READS_LABELS: ClassVar[bool] = True
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
        """Learn kinds of frame, pitch steps and units from `tracks`; see `Separator.fit`.

        Where a track has no labels of pitch, pYIN's pitch of the true voice takes their place.

        Raises
        ------
        BenchError
            The rates differ, or no frame is voiced.
        """
        rate, context = common_rate(tracks), context or FitContext()
        tracks = fit_in_memory(tracks, self.seed)
        lessons = []
        for n_done, track in enumerate(tracks):
            lessons.append(self._lesson(track))
            context.report_progress(n_done + 1, len(tracks))
        if not any((lesson.pitch > 0).any() for lesson in lessons):
            raise BenchError("no frame to learn from: the training tracks have no voiced pitch")
        pitches = [lesson.pitch for lesson in lessons]
        kinds = [lesson.kinds for lesson in lessons]
        self.steps_ = predominant_pitch.step_probabilities(pitches)
        self.transitions_ = frame_kinds.transition_probabilities(kinds)
        self.kinds_ = frame_kinds.fit_kinds(
            np.concatenate([lesson.features for lesson in lessons]),
            np.concatenate(kinds),
            self.components,
            self.seed,
        )
        self.voiced_ = voice_units.fit_voiced(*_joined([lesson.voiced for lesson in lessons]))
        self.unvoiced_ = voice_units.fit_unvoiced(
            *_joined([lesson.unvoiced for lesson in lessons]), self.unit_components, self.seed
        )
        self.rate_ = rate
        return self

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return the units' shares, spread over the bins of the transform."""
        channels, heard = self._heard(spectrogram, rate)
        kinds, pitch = self._kinds_and_pitch(heard)
        spread = bin_shares(self.filters, spectrogram.shape[1], rate)
        voice = np.stack(
            [spread @ self._unit_shares(channel, kinds, pitch, rate) for channel in channels]
        )
        return {"vocals": voice, "accompaniment": 1.0 - voice}

    def followed_pitch(self, mixture: Audio, rate: int) -> PitchTrack:
        """Return the pitch of the channels' mean; it is negative in frames that are not voiced."""
        check_mixture(mixture, rate, self)
        _, heard = self._heard(stft.forward(mixture, self.n_fft, self.hop), rate)
        kinds, pitch = self._kinds_and_pitch(heard)
        signed = np.where(kinds == VOICED, pitch, -pitch)
        return pitch_track_of_frames(signed, rate, self.n_fft, self.hop)

    def for_song(self, blocks: Iterable[Audio], rate: int) -> Self:
        """Return a copy that knows the levels of the whole song's channels and of their mean."""
        return super().for_song(map(_with_mean, blocks), rate)

    def alignment(self, rate: int) -> int:
        """Return the samples at whose multiples the frames of all transforms begin."""
        return math.lcm(self.hop, alignment(rate, LONG_MS, SHORT_MS))

    def lookahead(self, rate: int) -> int:
        """Return the number of samples that medians, then spectral subtraction look ahead."""
        medians = lookahead(rate, LONG_MS, SHORT_MS, KERNEL)
        return medians + math.ceil(self.span_s / 2 * rate)

    def _heard(self, spectrogram: Spectrogram, rate: int) -> tuple[Spectrogram, Analysis]:
        """Return each channel at level 1, and what is heard in their mean."""
        stack = _with_mean(spectrogram)
        *channels, mean = stack / self.level(np.abs(stack))
        return np.stack(channels), self._analysis(audio_of(mean, self.n_fft, self.hop), rate)

    def _analysis(self, audio: Vector, rate: int) -> Analysis:
        """Hear one channel of level 1, ``(samples,)``."""
        voice = two_stage_voice(audio[None], rate)
        of_mixture, of_voice = (
            frame_kinds.cepstra(np.abs(stft.forward(signal, self.n_fft, self.hop))[0], rate)
            for signal in (audio[None], voice)
        )
        salience = predominant_pitch.harmonic_salience(voice[0], rate, self.n_fft, self.hop)
        features = frame_kinds.frame_features(of_mixture, of_voice, salience)
        return Analysis(audio, salience, of_mixture, features)

    def _kinds_and_pitch(self, heard: Analysis) -> tuple[NDArray[np.int_], Vector]:
        """Return what each frame holds, and the likeliest pitch in hertz, ``(frames,)`` each."""
        kinds = frame_kinds.likeliest_kinds(
            heard.features, self.kinds_, self.transitions_, self.evidence
        )
        pitch = predominant_pitch.likeliest_pitch(heard.salience, self.steps_, self.sharpness)
        return kinds, pitch

    def _unit_shares(
        self,
        channel: NDArray[np.complex128],
        kinds: NDArray[np.int_],
        pitch: Vector,
        rate: int,
    ) -> Features:
        """Return how much of each unit of a channel is the voice's, ``(filters, frames)``."""
        voiced, unvoiced = kinds == VOICED, kinds == UNVOICED
        bank = self._bank(audio_of(channel, self.n_fft, self.hop), rate)
        energies, fine, envelope = bank.periods(np.where(voiced, pitch, 0.0))
        shares = np.zeros_like(energies)
        features = voice_units.voiced_features(fine[:, voiced], envelope[:, voiced])
        shares[:, voiced] = voice_units.voiced_shares(features, self.voiced_)
        if unvoiced.any():
            cepstra = frame_kinds.cepstra(np.abs(channel), rate)
            features = voice_units.unvoiced_features(energies[:, unvoiced], cepstra[unvoiced])
            shares[:, unvoiced] = voice_units.unvoiced_shares(features, self.unvoiced_)
        span = max(1, round(self.span_s * rate / self.hop))
        return voice_units.subtracted(shares, energies, self.subtraction, span)

    def _bank(self, audio: Vector, rate: int) -> Filterbank:
        """Return the filterbank, a unit about the centre of each frame of the transform."""
        n_frames = stft.n_frames(len(audio), self.n_fft, self.hop)
        centres = stft.centres(n_frames, self.n_fft, self.hop)
        return Filterbank(audio, rate, self.filters, centres)

    def _lesson(self, track: Track) -> Lesson:
        """Return what one training track teaches, by the mean of its channels."""
        mixture = track.mixture.mean(axis=0)
        level = self.level(np.abs(stft.forward(mixture[None], self.n_fft, self.hop)))
        heard = self._analysis(mixture / float(level.squeeze()), track.rate)
        voice, accompaniment = (
            self._bank(track.references[target].mean(axis=0), track.rate).energies()
            for target in TARGETS
        )
        wins = voice > accompaniment
        pitch = true_pitch(track, self.n_fft, self.hop)
        kinds = frame_kinds.true_kinds(pitch, voice.sum(axis=0))
        sampled = np.where(np.arange(len(pitch)) % EVERY == 0, pitch, 0.0)
        energies, fine, envelope = self._bank(heard.audio, track.rate).periods(sampled)
        voiced, unvoiced = sampled > 0, kinds == UNVOICED
        of_voiced = voice_units.voiced_features(fine[:, voiced], envelope[:, voiced])
        of_unvoiced = voice_units.unvoiced_features(energies[:, unvoiced], heard.cepstra[unvoiced])
        return Lesson(
            pitch,
            kinds,
            heard.features,
            (of_voiced.astype(np.float32), wins[:, voiced]),
            (of_unvoiced.astype(np.float32), wins[:, unvoiced]),
        )


def _with_mean(channels: NDArray[_Number]) -> NDArray[_Number]:
    """Return channels and, as one more, their mean: ``(channels + 1, ...)``."""
    return np.concatenate([channels, channels.mean(axis=0, keepdims=True)])


def _joined(parts: Sequence[Examples]) -> tuple[Features, NDArray[np.bool_]]:
    """Return the units of all tracks; see `Lesson`."""
    features, wins = zip(*parts, strict=True)
    return np.concatenate(features, axis=1, dtype=np.float64), np.concatenate(wins, axis=1)
