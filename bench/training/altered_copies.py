"""Copies of training clips at another pitch or tempo: made once for all trainings of a sweep.

librosa's phase vocoder makes them (Laroche and Dolson, "Improved phase vocoder time-scale
modification of audio", IEEE TSAP 7(3), 1999, without its phase locking). A tempo changes the length
of a copy and leaves its pitch; a pitch moves harmonics and formants alike and leaves the length.
"""

from __future__ import annotations

import importlib.metadata

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.methods.shared_work import shared

#: Raised whenever the copies change, so that older files in a cache are not used.
VERSION = 1


def alterations(pitch_semitones: float, tempo_change: float) -> list[dict[str, float]]:
    """Return what is done to each copy of a clip.

    Parameters
    ----------
    pitch_semitones
        Semitones by which one copy is raised and one is lowered; 0: no copy.
    tempo_change
        Fraction by which one copy is faster and one is slower, below 1; 0: no copy.

    Examples
    --------
    >>> alterations(2, 0.1)
    [{'semitones': 2}, {'semitones': -2}, {'tempo': 1.1}, {'tempo': 0.9}]
    """
    pitches = [{"semitones": sign * pitch_semitones} for sign in (1, -1) if pitch_semitones]
    tempos = [{"tempo": 1 + sign * tempo_change} for sign in (1, -1) if tempo_change]
    return pitches + tempos


def altered(clip: Tensor, rate: int, change: dict[str, float]) -> Tensor:
    """Return a clip at another pitch or tempo.

    Parameters
    ----------
    clip
        References of all targets, ``(targets, samples)``, float32.
    rate
        Sampling rate in hertz.
    change
        One of `alterations`.

    Returns
    -------
    Tensor
        ``(targets, samples)``, float32; `samples` is another number where the tempo is.
    """
    signals: NDArray[np.float32] = clip.numpy()
    settings = {
        "work": "altered copy",
        "change": change,
        "rate": rate,
        "librosa": importlib.metadata.version("librosa"),
        "version": VERSION,
    }
    return torch.from_numpy(shared(signals, settings, lambda: _changed(signals, rate, change)))


def _changed(
    signals: NDArray[np.float32], rate: int, change: dict[str, float]
) -> NDArray[np.float32]:
    """Return the signals ``(targets, samples)`` with a change applied to each."""
    import librosa.effects

    if "tempo" in change:
        copy = librosa.effects.time_stretch(signals, rate=change["tempo"])
    else:
        copy = librosa.effects.pitch_shift(signals, sr=rate, n_steps=change["semitones"])
    return np.asarray(copy, dtype=np.float32)
