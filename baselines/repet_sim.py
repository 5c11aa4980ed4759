"""REPET-SIM: the accompaniment of a frame is what it shares with the frames most like it.

    S(f, t) = median of |X(f, u)| over the frames u most like t,   W = min(S, |X|),   M = W / |X|

Frames are compared by the cosine of their magnitudes. Where REPET needs a period, this needs only
that a sound comes back; the voice, which changes each time, is not in the median.

Differences from the paper: librosa's neighbours and median; the median is over a fixed number of
the most similar frames, without a threshold of similarity. The least distance holds between a frame
and those that are similar to it, and not among these; the frame itself is not in its median.

References
----------
Rafii, Pardo: Music/voice separation using the similarity matrix, ISMIR 2012.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from baselines.algorithms.repetition import Matrix, repeating_masks
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator


def similar_part(magnitude: Matrix, n_similar: int, apart: int) -> Matrix:
    """Return for each frame the median over the frames most like it.

    Parameters
    ----------
    magnitude
        ``(bins, frames)``.
    n_similar
        Largest number of frames in a median.
    apart
        Least distance in frames between a frame and one that counts as similar.

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
    median: Matrix = librosa.decompose.nn_filter(
        magnitude / scale, aggregate=np.median, metric="cosine", width=apart, k=n_similar
    )
    return median * scale


@separator
class REPETSIM(ChannelMaskSeparator):
    """REPET by similarity, one channel at a time.

    Parameters
    ----------
    similar
        Largest number of frames in a median.
    apart_s
        Least distance in seconds between a frame and one that counts as similar.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 1

    similar: int = Field(20, ge=1)
    apart_s: float = Field(1.0, gt=0)
    hop: int = 256

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return what comes back as the accompaniment's share, and the rest as the voice's."""
        apart = max(1, round(self.apart_s * rate / self.hop))
        magnitude = np.abs(channel)
        return repeating_masks(magnitude, similar_part(magnitude, self.similar, apart), rate)
