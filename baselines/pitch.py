"""Pitch-based masks: the voice is what lies near the harmonics of a pitch track.

    comb(f, t) = 1 where |f - h f0(t)| <= width / 2 for some h = 1, 2, ..., and t is voiced; else 0

The track is pYIN's on the mixture, whose loudest pitch is most often the voice's. It separates
voices as far as the track is right and what is unvoiced may be lost. `PitchOracle`, the same comb
at the pitch that people labelled, is the bound of what a better track could bring.

Differences from Hsu and Jang: a stand-in for their system, which trains a classifier and
resynthesises unvoiced frames; here the comb alone, on the suite's transform.

References
----------
Hsu, Jang: On the improvement of singing voice separation for monaural recordings using the MIR-1K
dataset, IEEE TASLP 18(2), 2010.
Mauch, Dixon: pYIN: a fundamental frequency estimator using probabilistic threshold distributions,
ICASSP 2014 (the track, by librosa).
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench import stft
from bench.masks import Masks
from bench.methods.oracle import Oracle
from bench.methods.separator import MaskSeparator, Spectrogram, apply, separator
from bench.track import Audio, Track

Vector = NDArray[np.float64]

#: The range of singing that is searched, in hertz.
LOWEST, HIGHEST = 80.0, 800.0
#: Step of labels in seconds; the first stands one step into the clip.
LABEL_STEP_S = 0.02
#: Samples of pYIN's frames at 16 kHz; in proportion at other rates.
FRAME = 2048


def pitch_track(audio: Vector, rate: int, hop: int, n_frames: int) -> Vector:
    """Return the pitch of a monophonic or dominant voice, in hertz, 0 where there is none.

    Parameters
    ----------
    audio
        ``(samples,)``.
    rate
        In hertz.
    hop, n_frames
        Step of the track in samples, and its length: those of the transform.
    """
    import librosa

    if not audio.any() or len(audio) < 2:
        return np.zeros(n_frames)
    frame = 2 ** int(np.ceil(np.log2(FRAME * rate / 16_000)))
    with warnings.catch_warnings(action="ignore"):
        pitch, voiced, _ = librosa.pyin(
            audio / np.abs(audio).max(),
            fmin=LOWEST,
            fmax=HIGHEST,
            sr=rate,
            frame_length=frame,
            hop_length=hop,
        )
    pitch = np.where(voiced, np.nan_to_num(pitch), 0.0)
    return np.resize(np.pad(pitch, (0, max(0, n_frames - len(pitch)))), n_frames)


def comb(pitch: Vector, n_bins: int, rate: int, width: float) -> NDArray[np.bool_]:
    """Return the bins near a harmonic, ``(bins, frames)``.

    Parameters
    ----------
    pitch
        In hertz for each frame, 0 where there is none.
    n_bins
        From 0 Hz to half the rate.
    width
        Of a tooth in hertz.
    """
    frequency = np.linspace(0.0, rate / 2, n_bins)[:, None]
    voiced = pitch > 0
    spacing = np.where(voiced, pitch, 1.0)
    nearest = np.maximum(np.round(frequency / spacing), 1.0)
    near: NDArray[np.bool_] = np.abs(frequency - nearest * spacing) <= width / 2
    return near & voiced


@separator
class PitchMask(MaskSeparator):
    """A comb mask at the harmonics of a pitch track of the mixture, a channel at a time.

    Parameters
    ----------
    width
        Of a tooth of the comb in hertz.
    """

    VERSION: ClassVar[int] = 1

    width: float = Field(80.0, gt=0)

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return the comb as the voice's mask, what it leaves as the accompaniment's."""
        voice = np.stack([self._comb(channel, rate) for channel in spectrogram]).astype(np.float64)
        return {"vocals": voice, "accompaniment": 1.0 - voice}

    def _comb(self, channel: Spectrogram, rate: int) -> NDArray[np.bool_]:
        n_bins, n_frames = channel.shape
        audio = stft.inverse(channel[None], n_frames * self.hop, self.n_fft, self.hop)[0]
        return comb(pitch_track(audio, rate, self.hop, n_frames), n_bins, rate, self.width)


@separator
class PitchOracle(Oracle):
    """The comb at the labelled pitch; where a corpus has no labels, at that of the true voice.

    Parameters
    ----------
    width
        Of a tooth of the comb in hertz.
    """

    width: float = Field(80.0, gt=0)

    def separate_track(self, track: Track) -> dict[str, Audio]:
        """Separate a track's mixture at its own pitch."""
        spectrogram = stft.forward(track.mixture, self.n_fft, self.hop)
        _, n_bins, n_frames = spectrogram.shape
        if track.pitch is None:
            voice = track.references["vocals"].mean(axis=0)
            pitch = pitch_track(voice, track.rate, self.hop, n_frames)
        else:
            pitch = labelled_pitch(track.pitch, track.rate, self.hop, n_frames)
        share = comb(pitch, n_bins, track.rate, self.width).astype(np.float64)
        voice_mask = np.broadcast_to(share, spectrogram.shape)
        shares = {"vocals": voice_mask, "accompaniment": 1.0 - voice_mask}
        return apply(shares, spectrogram, track.n_samples, self)


def labelled_pitch(labels: Vector, rate: int, hop: int, n_frames: int) -> Vector:
    """Return the pitch of each frame in hertz, 0 where the nearest label is 0 or there is none.

    Parameters
    ----------
    labels
        Semitones; see `Track.pitch`.
    rate, hop, n_frames
        Of the frames, the first of which is centred at 0.
    """
    nearest = np.round(np.arange(n_frames) * hop / rate / LABEL_STEP_S).astype(int) - 1
    known = (nearest >= 0) & (nearest < len(labels))
    semitones = np.zeros(n_frames)
    semitones[known] = labels[nearest[known]]
    return np.where(semitones > 0, 440.0 * 2.0 ** ((semitones - 69.0) / 12.0), 0.0)
