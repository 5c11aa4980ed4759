"""Robust PCA: the accompaniment repeats and so is of low rank, the voice is sparse over it.

    min ||L||_* + lambda ||S||_1   subject to   L + S = |X|,   lambda = k / sqrt(max(m, n))

solved by `algorithms.robust_pca`. |S| and |L| then make a mask on the mixture.

Differences from the paper: no singular value decomposition is computed; the path ends when L + S is
within 1e-3 of the norm of |X|, where the authors' ends at 1e-7; the transform gives back every
sample. The paper names no window; its authors' released code has Hann's.

References
----------
Huang, Chen, Smaragdis, Hasegawa-Johnson: Singing-voice separation from monaural recordings using
robust principal component analysis, ICASSP 2012, eq. 1 (model), 2-3 (masks).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from baselines.algorithms.robust_pca import MASK_TOLERANCE, robust_pca
from bench import masks, stft
from bench.masks import Masks
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, separator


@separator
class RPCA(ChannelMaskSeparator):
    """Robust PCA on the mixture's magnitude, a channel at a time.

    Parameters
    ----------
    mask
        ``soft``: |S| / (|S| + gain |L|); ``binary``: 1 where |S| >= gain |L|.
    gain
        Factor of the low-rank part in both masks.
    k
        Scale of the weight on sparsity.
    rho
        Growth of the solver's penalty in each step.
    window
        Window of the transform, ``sine`` or ``hann``.
    n_fft, hop
        Window length and step of the transform in samples, 1,024 and 256 in the paper.
    """

    VERSION: ClassVar[int] = 3

    mask: Literal["soft", "binary"] = "soft"
    gain: float = Field(1.0, gt=0)
    k: float = Field(1.0, gt=0)
    rho: float = Field(1.5, gt=1)
    window: stft.WindowName = "sine"
    hop: int = 256

    def window_name(self) -> stft.WindowName:
        """Return the window; see `TransformSeparator.window_name`."""
        return self.window

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return the masks of a sparse voice over a low-rank accompaniment."""
        magnitude = np.abs(channel)
        weight = self.k / float(np.sqrt(max(magnitude.shape)))
        low_rank, sparse = robust_pca(magnitude, weight, self.rho, MASK_TOLERANCE)
        magnitudes = {
            "vocals": np.abs(sparse),
            "accompaniment": self.gain * np.abs(low_rank),
        }
        return masks.soft(magnitudes) if self.mask == "soft" else masks.binary(magnitudes)
