"""RPCAh with a back end against drums: what of the sparse part sounds like drums is taken out.

    |S| ~ W_d H_d + W_v H_v,   W_d trained on drums and fixed, W_v free
    voice's share of S:  W_v H_v / (W_d H_d + W_v H_v)

under the generalised Kullback-Leibler divergence. Robust PCA takes a drum for voice, since neither
repeats exactly; its spectrum gives it away.

Differences from the paper: not the FASST toolbox but one NMF model of its kind, whose drum
spectra come from the percussive part of the training accompaniments, for want of drums alone.

References
----------
Yang: On sparse and low-rank matrix decomposition for singing voice separation, ACM Multimedia
2012.
Ozerov, Vincent, Bimbot: A general flexible framework for the handling of prior information in audio
source separation, IEEE TASLP 20(4), 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from baselines.algorithms.low_rank import Matrix
from baselines.algorithms.nmf import ignored_convergence, levelled, semi_supervised
from baselines.rpcah import RPCAh
from bench import masks, stft
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.methods.separator import Spectrogram, common_rate, separator
from bench.methods.subsample import fit_in_memory
from bench.track import Track

#: How many times as percussive as harmonic a bin must be to count as drums.
MARGIN = 2.0
#: Largest number of frames from which the drum spectra are learnt.
MOST_FRAMES = 20_000


def percussive(magnitude: Matrix) -> Matrix:
    """Return the part of magnitudes ``(bins, frames)`` that is percussive beyond `MARGIN`."""
    import librosa

    scale = magnitude.max() or 1.0
    _, part = librosa.decompose.hpss(magnitude / scale, margin=MARGIN)
    rescaled: Matrix = part * scale
    return rescaled


@separator
class RPCAhFASST(RPCAh):
    """RPCAh, then NMF that takes drums out of the sparse part, one channel at a time.

    Parameters
    ----------
    drums, voices
        Number of spectra for drums, learnt in training, and for the rest of the sparse part.
    iterations
        Number of updates, in training and in separation.
    seed
        Seed of the random starts.
    """

    VERSION: ClassVar[int] = 4
    GROUP: ClassVar[str] = "supervised"
    AFTER_TRAINING: ClassVar[frozenset[str]] = frozenset({"k", "pull", "width", "voices"})

    drums: int = Field(20, ge=1)
    voices: int = Field(20, ge=1)
    iterations: int = Field(50, ge=1)
    seed: int = Field(0, ge=0)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Learn spectra of drums from the accompaniments of `tracks`; see `Separator.fit`."""
        from sklearn import decomposition

        rate, context = common_rate(tracks), context or FitContext()
        tracks = fit_in_memory(tracks, self.seed)
        frames = []
        for done, track in enumerate(tracks):
            accompaniment = track.references["accompaniment"].mean(axis=0, keepdims=True)
            magnitude = np.abs(stft.forward(accompaniment, self.n_fft, self.hop))[0]
            drums = percussive(magnitude).T
            total = drums.sum(axis=1)
            frames.append(drums[total > 2 * total.mean()])
            context.report_progress(done + 1, len(tracks))
        heard = np.concatenate(frames)
        if not len(heard):
            raise BenchError("no drums to learn from: the accompaniments have no percussive frame")
        chosen = np.random.default_rng(self.seed).permutation(len(heard))[:MOST_FRAMES]
        model = decomposition.NMF(
            self.drums,
            init="random",
            solver="mu",
            beta_loss="kullback-leibler",
            max_iter=self.iterations,
            random_state=self.seed,
        )
        with ignored_convergence():
            model.fit(levelled(heard[chosen]))
        self.drums_ = np.asarray(model.components_, dtype=np.float64)
        self.rate_ = rate
        return self

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return RPCAh's masks, with the drums of its sparse part given to the accompaniment."""
        low_rank, sparse = self.parts(channel, rate)
        share = self.voice_share(np.abs(sparse))
        voice = share * np.abs(sparse)
        accompaniment = np.abs(low_rank) + (1.0 - share) * np.abs(sparse)
        return masks.soft({"vocals": voice, "accompaniment": accompaniment})

    def voice_share(self, sparse: Matrix) -> NDArray[Any]:
        """Return how much of each bin of the sparse part is no drum, ``(bins, frames)``."""
        if not sparse.any():
            return np.ones_like(sparse)
        activations, atoms = semi_supervised(
            levelled(sparse.T), self.drums_, self.voices, "kl", self.iterations, self.seed
        )
        drums = activations[:, : self.drums] @ atoms[: self.drums]
        rest = activations[:, self.drums :] @ atoms[self.drums :]
        return (rest / (drums + rest)).T
