"""Ideal masks: what a mask could reach at best, made from the true sources.

With V and A the spectrograms of voice and accompaniment and X = V + A:

    binary           1 where |V| >= |A|, else 0
    ratio            |V|^p / (|V|^p + |A|^p), p = 1 (magnitude) or 2 (power, Wiener-like)
    phase-sensitive  Re(V / X) clipped to [0, 1]: the best real mask for the mixture's phase
    multichannel     v_V R_V (v_V R_V + v_A R_A)^-1 x: the Wiener filter of two local Gaussians

The last is no mask but a matrix for each bin: v is a source's true power there, R its spatial
covariance, one a frequency, and x the channels of the mixture. On mono it is the power ratio.

References
----------
Wang: On ideal binary mask as the computational goal of auditory scene analysis, 2005 (binary).
Erdogan, Hershey, Watanabe, Le Roux: Phase-sensitive and recognition-boosted speech separation
using deep recurrent neural networks, ICASSP 2015, table 1 (ratio, phase-sensitive).
Duong, Vincent, Gribonval: Under-determined reverberant audio source separation using a full-rank
spatial covariance model, IEEE TASLP 18(7), 2010 (multichannel Wiener filter).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bench import masks, stft
from bench.masks import Masks
from bench.methods.oracle import MaskOracle, Oracle
from bench.methods.separator import Spectrogram, separator
from bench.track import Audio, Track


@separator
class IdealBinaryMask(MaskOracle):
    """Each bin whole to the louder source."""

    def track_masks(self, references: dict[str, Spectrogram], rate: int) -> Masks:
        """Return binary masks of the true magnitudes."""
        return masks.binary({target: np.abs(s) for target, s in references.items()})


@separator
class IdealRatioMask(MaskOracle):
    """Each bin shared in proportion to the true magnitudes.

    Parameters
    ----------
    power
        1 for magnitudes, 2 for powers.
    cutoff_hz
        Frequency in hertz from which on everything is accompaniment, as for a system whose sampling
        rate is twice this frequency and which subtracts its voice from the mixture; 0: none.
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"cutoff_hz": 0.0}

    power: Literal[1, 2] = 1
    cutoff_hz: float = Field(0.0, ge=0)

    def track_masks(self, references: dict[str, Spectrogram], rate: int) -> Masks:
        """Return soft masks of the true magnitudes."""
        magnitudes = {target: np.abs(s) for target, s in references.items()}
        shares = masks.soft(magnitudes, self.power)
        if not self.cutoff_hz:
            return shares
        frequencies = np.arange(self.n_fft // 2 + 1) * rate / self.n_fft
        voice = shares["vocals"] * (frequencies < self.cutoff_hz)[:, None]
        return {"vocals": voice, "accompaniment": 1.0 - voice}


@separator
class PhaseSensitiveMask(MaskOracle):
    """The real mask nearest to the true voice under the mixture's phase, kept in [0, 1]."""

    def track_masks(self, references: dict[str, Spectrogram], rate: int) -> Masks:
        """Return ``clip(Re(V / X), 0, 1)`` and its complement, which is the accompaniment's."""
        voice = references["vocals"]
        mixture = voice + references["accompaniment"]
        power = np.square(np.abs(mixture))
        product = np.real(voice * np.conj(mixture))
        share = np.divide(product, power, out=np.full_like(power, 0.5), where=power > 0)
        share = np.clip(share, 0.0, 1.0)
        return {"vocals": share, "accompaniment": 1.0 - share}


#: Share of the mean power that is put on the diagonal of a covariance, so that it has an inverse.
LOADING = 1e-10


@separator
class MultichannelWiener(Oracle):
    """The Wiener filter that knows each source's power in each bin, and its spatial covariance."""

    def separate_track(self, track: Track) -> dict[str, Audio]:
        """Filter a track's mixture; what is not voice is accompaniment."""
        sources = [
            stft.forward(track.references[t], self.n_fft, self.hop)
            for t in ("vocals", "accompaniment")
        ]
        voice = multichannel_wiener(*sources)
        estimate = stft.inverse(voice, track.n_samples, self.n_fft, self.hop)
        return {"vocals": estimate, "accompaniment": track.mixture - estimate}


def multichannel_wiener(wanted: Spectrogram, other: Spectrogram) -> Spectrogram:
    """Return the image of `wanted` that the filter makes of the sum of both.

    Parameters
    ----------
    wanted, other
        True images of the sources, complex ``(channels, bins, frames)``.

    Returns
    -------
    ndarray
        ``(channels, bins, frames)``.
    """
    n_channels = len(wanted)
    covariances = []
    for source in (wanted, other):
        power = np.square(np.abs(source)).mean(axis=0)
        spatial = np.einsum("cft,dft->fcd", source, source.conj())
        total = power.sum(axis=1)[:, None, None]
        spatial = np.divide(spatial, total, out=np.zeros_like(spatial), where=total > 0)
        covariances.append(power[..., None, None] * spatial[:, None])
    both = covariances[0] + covariances[1]
    level = np.trace(both, axis1=-2, axis2=-1).real / n_channels
    loaded = both + (LOADING * level + np.finfo(float).tiny)[..., None, None] * np.eye(n_channels)
    mixture = (wanted + other).transpose(1, 2, 0)[..., None]
    filtered = covariances[0] @ np.linalg.solve(loaded, mixture)
    image: Spectrogram = filtered[..., 0].transpose(2, 0, 1)
    return image
