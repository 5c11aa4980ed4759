"""Pitch-based masks: the voice is what lies near the harmonics of a pitch track.

    comb(f, t) = 1 where |f - h f0(t)| <= width / 2 for some h = 1, 2, ..., and t is voiced; else 0

The track is pYIN's on the voice that robust PCA finds first: on the mixture pYIN follows the
accompaniment too often. It separates voices as far as the track is right and what is unvoiced may
be lost. `PitchOracle`, a comb with wider teeth at the pitch that people labelled, tells what a
right pitch would bring.

It is the simple form of `hsu_jang.HsuJang`, which learns which units of a filterbank have the
voice's period and finds unvoiced frames; here is the comb alone, on the suite's transform.

References
----------
Mauch, Dixon: pYIN: a fundamental frequency estimator using probabilistic threshold distributions,
ICASSP 2014 (the track, by librosa).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from baselines.algorithms.pitch import (
    Vector,
    audio_of,
    comb,
    pitch_of_sparse_voice,
    pitch_track,
    pitch_track_of_frames,
    true_pitch,
)
from bench import stft
from bench.masks import Masks
from bench.methods.oracle import Oracle
from bench.methods.separator import (
    ChannelMaskSeparator,
    Spectrogram,
    apply,
    check_mixture,
    separator,
)
from bench.track import Audio, PitchTrack, Track


@separator
class PitchMask(ChannelMaskSeparator):
    """A comb mask at the harmonics of a pitch track, one channel at a time.

    Parameters
    ----------
    tracked
        What pYIN is given: ``voice``, which robust PCA finds in the mixture, or ``mixture``.
    width
        Width of a tooth of the comb in hertz.
    """

    VERSION: ClassVar[int] = 4

    tracked: Literal["voice", "mixture"] = "voice"
    width: float = Field(30.0, gt=0)

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return the comb as the voice's mask, and what it leaves as the accompaniment's."""
        voice = comb(self._pitch(channel, rate), len(channel), rate, self.width).astype(np.float64)
        return {"vocals": voice, "accompaniment": 1.0 - voice}

    def followed_pitch(self, mixture: Audio, rate: int) -> PitchTrack:
        """Return the pitch of the channels' mean; `separate` follows each channel by itself."""
        check_mixture(mixture, rate, self)
        channel = stft.forward(mixture.mean(axis=0, keepdims=True), self.n_fft, self.hop)[0]
        return pitch_track_of_frames(self._pitch(channel, rate), rate, self.n_fft, self.hop)

    def _pitch(self, channel: Spectrogram, rate: int) -> Vector:
        """Return the pitch of each frame of one channel in hertz, ``(frames,)``."""
        if self.tracked == "voice":
            return pitch_of_sparse_voice(channel, rate, self.n_fft, self.hop)
        audio = audio_of(channel, self.n_fft, self.hop)
        return pitch_track(audio, rate, self.n_fft, self.hop)


@separator
class PitchOracle(Oracle):
    """The comb at the labelled pitch; where a corpus has no labels, at that of the true voice.

    Parameters
    ----------
    width
        Width of a tooth of the comb in hertz.
    """

    VERSION: ClassVar[int] = 2
    READS_LABELS: ClassVar[bool] = True

    width: float = Field(80.0, gt=0)

    def separate_track(self, track: Track) -> dict[str, Audio]:
        """Separate the mixture of a track by the comb at its labelled pitch."""
        spectrogram = stft.forward(track.mixture, self.n_fft, self.hop)
        n_bins = spectrogram.shape[1]
        pitch = true_pitch(track, self.n_fft, self.hop)
        share = comb(pitch, n_bins, track.rate, self.width).astype(np.float64)
        voice_mask = np.broadcast_to(share, spectrogram.shape)
        shares = {"vocals": voice_mask, "accompaniment": 1.0 - voice_mask}
        return apply(shares, spectrogram, track.n_samples, self)
