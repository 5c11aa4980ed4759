"""Copies of training clips at another pitch or tempo: made once, and cached as files.

librosa's phase vocoder makes them (Laroche and Dolson, "Improved phase vocoder time-scale
modification of audio", IEEE TSAP 7(3), 1999, without its phase locking). A tempo changes the length
of a copy and leaves its pitch; a pitch moves harmonics and formants alike and leaves the length.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def altered(clip: Tensor, rate: int, change: dict[str, float], cache: Path | None) -> Tensor:
    """Return a clip at another pitch or tempo.

    Parameters
    ----------
    clip
        References of all targets, ``(targets, samples)``, float32.
    rate
        Sampling rate in hertz.
    change
        One of `alterations`.
    cache
        Folder in which the copy is kept, and from which it is read the next time; None: it is
        made anew.

    Returns
    -------
    Tensor
        ``(targets, samples)``, float32; `samples` is another number where the tempo is.
    """
    signals: NDArray[np.float32] = clip.numpy()
    if cache is None:
        return torch.from_numpy(_made(signals, rate, change))
    path = cache / f"{_key(signals, rate, change)}.npy"
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError):  # not there yet, or damaged
        copy = _made(signals, rate, change)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.npy")
    np.save(part, copy, allow_pickle=False)
    part.replace(path)
    return torch.from_numpy(copy)


def _key(signals: NDArray[np.float32], rate: int, change: dict[str, float]) -> str:
    """Return the name of a copy in the cache: a digest of all that it depends on."""
    how: dict[str, Any] = {
        "change": change,
        "rate": rate,
        "shape": signals.shape,
        "librosa": importlib.metadata.version("librosa"),
        "version": VERSION,
    }
    digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(signals).tobytes())
    return digest.hexdigest()


def _made(signals: NDArray[np.float32], rate: int, change: dict[str, float]) -> NDArray[np.float32]:
    """Return the signals ``(targets, samples)`` with a change applied to each."""
    import librosa.effects

    if "tempo" in change:
        copy = librosa.effects.time_stretch(signals, rate=change["tempo"])
    else:
        copy = librosa.effects.pitch_shift(signals, sr=rate, n_steps=change["semitones"])
    return np.asarray(copy, dtype=np.float32)
