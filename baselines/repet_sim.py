"""REPET-SIM: the accompaniment of a frame is what it shares with the frames most like it.

    S(f, t) = median of |X(f, u)| over the frames u most like t,   W = min(S, |X|),   M = W / |X|

Frames are compared by the cosine of their magnitudes. Where REPET needs a period, this needs only
that a sound comes back; the voice, which changes each time, is not in the median.

Differences from the paper: librosa's neighbours and median; the similar frames are the nearest in
number, without a threshold of similarity.

References
----------
Rafii, Pardo: Music/voice separation using the similarity matrix, ISMIR 2012.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from baselines.repet import Matrix, repeating_masks
from bench.masks import Masks
from bench.methods.separator import MaskSeparator, Spectrogram, separator


def similar_part(magnitude: Matrix, n_similar: int, apart: int) -> Matrix:
    """Return for each frame the median over the frames most like it.

    Parameters
    ----------
    magnitude
        ``(bins, frames)``.
    n_similar
        Frames in a median, at most.
    apart
        Frames that must lie between a frame and one like it.

    Returns
    -------
    ndarray
        ``(bins, frames)``; the magnitude itself where there is no frame so far away.
    """
    import librosa

    n_frames = magnitude.shape[1]
    apart = min(apart, (n_frames - 1) // 2 - 1)
    n_similar = min(n_similar, n_frames - 2 * apart - 1)
    if apart < 1 or n_similar < 1:
        return magnitude
    scale = magnitude.max() or 1.0
    found: Matrix = librosa.decompose.nn_filter(
        magnitude / scale, aggregate=np.median, metric="cosine", width=apart, k=n_similar
    )
    return found * scale


@separator
class REPETSIM(MaskSeparator):
    """REPET by similarity, a channel at a time.

    Parameters
    ----------
    similar
        Frames in a median, at most.
    apart_s
        Seconds between a frame and one that may count as like it.
    n_fft, hop
        Of the transform.
    """

    VERSION: ClassVar[int] = 1

    similar: int = Field(20, ge=1)
    apart_s: float = Field(1.0, gt=0)
    hop: int = 256

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return what comes back as the accompaniment's share, the rest as the voice's."""
        apart = max(1, round(self.apart_s * rate / self.hop))
        pairs = []
        for channel in spectrogram:
            magnitude = np.abs(channel)
            part = similar_part(magnitude, self.similar, apart)
            pairs.append(repeating_masks(magnitude, part, rate))
        voice, accompaniment = (np.stack(part) for part in zip(*pairs, strict=True))
        return {"vocals": voice, "accompaniment": accompaniment}
