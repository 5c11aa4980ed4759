"""REPET-SIM: the accompaniment of a frame is what it shares with the frames most like it.

    S(f, t) = median of |X(f, u)| over the frames u most like t,   W = min(S, |X|),   M = W / |X|

Frames are compared by the cosine of their magnitudes. A frame u counts where it is more like t than
all frames around it are, so that a sound that lasts gives one frame and not all of its own; t
itself is among them. Where REPET needs a period, this needs only that a sound comes back; the
voice, which changes each time, is not in the median.

Differences from the paper: no threshold of similarity; the number of frames and the distance
between them are those that separate training songs held out best
(`experiments/select_repetition.yaml`).

References
----------
Rafii, Pardo: Music/voice separation using the similarity matrix, ISMIR 2012.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy
from pydantic import Field

from baselines.algorithms.repetition import Matrix, repeating_masks
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator

#: Frames that are compared with all others at once, which bounds the memory.
_BLOCK = 512


def similar_part(magnitude: Matrix, n_similar: int, apart: int) -> Matrix:
    """Return for each frame the median over the frames most like it, itself among them.

    Parameters
    ----------
    magnitude
        ``(bins, frames)``.
    n_similar
        Largest number of frames in a median.
    apart
        Distance in frames within which one frame alone is taken: the most similar.

    Returns
    -------
    ndarray
        ``(bins, frames)``.
    """
    norms = np.linalg.norm(magnitude, axis=0)
    unit = np.divide(magnitude, norms, out=np.zeros_like(magnitude), where=norms > 0)
    median = np.zeros_like(magnitude)
    for start in range(0, magnitude.shape[1], _BLOCK):
        similarity = unit[:, start : start + _BLOCK].T @ unit
        highest = scipy.ndimage.maximum_filter1d(similarity, 2 * apart + 1, axis=1, mode="nearest")
        peaks = np.where(similarity == highest, similarity, 0.0)
        for t, values in enumerate(peaks, start):
            frames = np.argsort(-values, kind="stable")[:n_similar]
            frames = frames[values[frames] > 0]
            if len(frames):
                median[:, t] = np.median(magnitude[:, frames], axis=1)
    return median


@separator
class REPETSIM(ChannelMaskSeparator):
    """REPET by similarity, one channel at a time.

    Parameters
    ----------
    similar
        Largest number of frames in a median.
    apart_s
        Distance in seconds within which one frame alone is taken: the most similar.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 2

    similar: int = Field(15, ge=1)
    apart_s: float = Field(0.2, gt=0)
    hop: int = 256

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return what comes back as the accompaniment's share, and the rest as the voice's."""
        apart = max(1, round(self.apart_s * rate / self.hop))
        magnitude = np.abs(channel)
        return repeating_masks(magnitude, similar_part(magnitude, self.similar, apart), rate)
