"""Pitch tracks of a voice, and the bins that lie near their harmonics.

    comb(f, t) = 1 where |f - h f0(t)| <= width / 2 for some h = 1, 2, ..., and t is voiced; else 0

References
----------
Mauch, Dixon: pYIN: a fundamental frequency estimator using probabilistic threshold distributions,
ICASSP 2014 (the track, by librosa).
"""

from __future__ import annotations

import importlib.metadata
import math
import warnings

import numpy as np
from numpy.typing import NDArray

from baselines.algorithms.robust_pca import MASK_TOLERANCE, robust_pca
from bench import stft
from bench.methods.shared_work import shared
from bench.track import LABEL_STEP_S, PitchTrack, Track, hertz_of

Vector = NDArray[np.float64]
#: Raised whenever `pitch_of_sparse_voice` gives another track, so that older files are not used.
VERSION = 2
#: Range in which the pitch of a singer is searched, in hertz.
LOWEST, HIGHEST = 80.0, 800.0
#: Length of pYIN's frames in samples at 16 kHz; at other rates as long in seconds, or up to twice,
#: since it is a power of two.
FRAME = 2048
#: Largest change of the pitch in octaves a second: librosa's default.
LARGEST_TRANSITION = 35.92


def pitch_track(audio: Vector, rate: int, n_fft: int, hop: int) -> Vector:
    """Return the pitch of a monophonic or dominant voice in each frame of the transform.

    pYIN's frames and the transform's have their centres at the same samples. A frame whose centre
    lies outside the audio has no pitch.

    Parameters
    ----------
    audio
        ``(samples,)``.
    rate
        Sampling rate in hertz.
    n_fft, hop
        Window length and step of the transform in samples.

    Returns
    -------
    ndarray
        Pitch of each frame in hertz, ``(frames,)``: negative where pYIN calls the frame unvoiced
        and its pitch would be the absolute value; 0 in silence.
    """
    import librosa

    pitch_of_frames = np.zeros(stft.n_frames(len(audio), n_fft, hop))
    if not audio.any() or len(audio) < 2:
        return pitch_of_frames
    frame = 2 ** int(np.ceil(np.log2(FRAME * rate / 16_000)))
    highest = min(HIGHEST, rate / 2)
    n_semitones = math.floor(12 * math.log2(highest / LOWEST))
    largest_step = n_semitones * rate / hop / 12  # octaves a second: the whole range in one frame
    with warnings.catch_warnings(action="ignore"):
        pitch, voiced, _ = librosa.pyin(
            audio / np.abs(audio).max(),
            fmin=LOWEST,
            fmax=highest,
            sr=rate,
            frame_length=frame,
            hop_length=hop,
            fill_na=None,
            max_transition_rate=min(LARGEST_TRANSITION, largest_step),
        )
    first = stft.lead(n_fft, hop)
    tracked = pitch_of_frames[first : first + len(pitch)]
    tracked[:] = np.where(voiced, pitch, -pitch)[: len(tracked)]
    return pitch_of_frames


def pitch_of_sparse_voice(
    channel: NDArray[np.complexfloating], rate: int, n_fft: int, hop: int
) -> Vector:
    """Return the pitch track of the voice that robust PCA finds in one channel of a mixture.

    On a mixture pYIN's pitch is that of the voice in far fewer frames than on the sparse part
    (`experiments/pitch.yaml`). Rows of one table that need the same track compute it once
    (`bench.methods.shared_work`).

    Parameters
    ----------
    channel
        Complex spectrogram of the channel, ``(bins, frames)``.
    rate
        Sampling rate in hertz.
    n_fft, hop
        Window length and step of the transform in samples.

    Returns
    -------
    ndarray
        Pitch of each frame in hertz, ``(frames,)``; see `pitch_track`.
    """

    def track_of_voice() -> Vector:
        low, sparse = robust_pca(np.abs(channel), tolerance=MASK_TOLERANCE)
        share = np.abs(sparse) / np.maximum(np.abs(sparse) + np.abs(low), 1e-300)
        return pitch_track(audio_of(share * channel, n_fft, hop), rate, n_fft, hop)

    settings = {
        "work": "pitch of the sparse voice",
        "rate": rate,
        "n_fft": n_fft,
        "hop": hop,
        "librosa": importlib.metadata.version("librosa"),
        "version": VERSION,
    }
    return shared(channel, settings, track_of_voice)


def audio_of(channel: NDArray[np.complexfloating], n_fft: int, hop: int) -> Vector:
    """Return the longest audio that has the frames of one channel's spectrogram, ``(samples,)``.

    It is up to ``hop - 1`` samples of silence longer than the audio that was transformed.
    """
    n_samples = channel.shape[1] * hop - (n_fft - hop)
    audio: Vector = stft.inverse(channel[None], n_samples, n_fft, hop)[0]
    return audio


def comb(pitch: Vector, n_bins: int, rate: int, width: float) -> NDArray[np.bool_]:
    """Return the bins near a harmonic, ``(bins, frames)``.

    Parameters
    ----------
    pitch
        Pitch of each frame in hertz, ``(frames,)``; 0 or negative where there is none.
    n_bins
        Number of bins from 0 Hz to half the sampling rate.
    rate
        Sampling rate in hertz.
    width
        Width of a tooth in hertz.
    """
    frequency = np.linspace(0.0, rate / 2, n_bins)[:, None]
    voiced = pitch > 0
    spacing = np.where(voiced, pitch, 1.0)
    nearest = np.maximum(np.round(frequency / spacing), 1.0)
    near: NDArray[np.bool_] = np.abs(frequency - nearest * spacing) <= width / 2
    return near & voiced


def label_of_frames(
    labels: Vector, rate: int, n_fft: int, hop: int, n_samples: int, start: int = 0
) -> Vector:
    """Return the pitch of each frame in hertz, 0 where the nearest label is 0 or there is none.

    Parameters
    ----------
    labels
        Semitones every `bench.track.LABEL_STEP_S`; see `Track.pitch`.
    rate
        Sampling rate in hertz.
    n_fft, hop
        Window length and step of the transform in samples.
    n_samples
        Length of the audio in samples.
    start
        Sample of the labels' clock at which the audio starts.

    Returns
    -------
    ndarray
        ``(frames,)``.
    """
    n_frames = stft.n_frames(n_samples, n_fft, hop)
    times_s = start / rate + frame_times_s(n_frames, rate, n_fft, hop)
    nearest = np.round(times_s / LABEL_STEP_S).astype(int) - 1
    known = (nearest >= 0) & (nearest < len(labels))
    semitones = np.zeros(n_frames)
    semitones[known] = labels[nearest[known]]
    return np.where(semitones > 0, hertz_of(semitones), 0.0)


def frame_times_s(n_frames: int, rate: int, n_fft: int, hop: int) -> Vector:
    """Return the time of each frame's centre in seconds, from the first sample on, ``(frames,)``.

    The first frames' centres lie before the audio.
    """
    return stft.centres(n_frames, n_fft, hop) / rate


def pitch_track_of_frames(pitch: Vector, rate: int, n_fft: int, hop: int) -> PitchTrack:
    """Return the pitch of each frame, ``(frames,)`` in hertz, as a pitch track from time 0 on."""
    times_s = frame_times_s(len(pitch), rate, n_fft, hop)
    return PitchTrack(times_s[times_s >= 0], pitch[times_s >= 0])


def true_pitch(track: Track, n_fft: int, hop: int) -> Vector:
    """Return the pitch of a track's voice in each frame: the labels, or pYIN's on the true voice.

    Parameters
    ----------
    track
        Its labels are taken where it has some.
    n_fft, hop
        Window length and step of the transform in samples.

    Returns
    -------
    ndarray
        In hertz, 0 where there is none; ``(frames,)``.
    """
    if track.pitch is None:
        voice = track.references["vocals"].mean(axis=0)
        return np.maximum(pitch_track(voice, track.rate, n_fft, hop), 0.0)
    return label_of_frames(track.pitch, track.rate, n_fft, hop, track.n_samples, track.start)
