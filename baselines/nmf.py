"""Supervised NMF: a dictionary of spectra a target, learnt from its clean training signals.

    train  |S_i| ~ W_i H_i for each target,   test  |X| ~ [W_1 W_2] [H_1; H_2], W fixed

under the generalised Kullback-Leibler divergence, by scikit-learn's multiplicative updates; the
mask is each target's part of the model, ``W_i H_i / sum_j W_j H_j``. It separates voices as far
as the spectra of a voice cannot be built from those of an accompaniment.

Differences from the paper's baseline: 20 atoms a target as in the journal, but scikit-learn's
stopping rule, and frames as they are, not normalised.

References
----------
Lee, Seung: Algorithms for non-negative matrix factorization, NIPS 2000 (updates).
Huang et al., IEEE/ACM TASLP 23(12), 2015, section IV-A (supervised NMF as a baseline).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn import decomposition
from sklearn.exceptions import ConvergenceWarning

from bench import masks, stft
from bench.errors import BenchError
from bench.masks import Masks
from bench.separator import FitLog, MaskSeparator, Spectrogram, common_rate, separator
from bench.track import TARGETS, Track


@separator
class NMF(MaskSeparator):
    """Supervised NMF with one dictionary a target.

    Parameters
    ----------
    atoms
        Spectra in the dictionary of a target.
    iterations
        Updates at most, in training and in separation.
    seed
        Of the random start in training.
    """

    VERSION: ClassVar[int] = 1
    GROUP: ClassVar[str] = "supervised"

    atoms: int = Field(20, ge=1)
    iterations: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), log: FitLog | None = None
    ) -> Self:
        """Learn the dictionaries from the references of `tracks`; see `Separator.fit`."""
        rate = common_rate(tracks)
        log = log or FitLog()
        dictionaries = {}
        for done, target in enumerate(TARGETS):
            frames = [self._frames(stft.forward(t.references[target], self.n_fft, self.hop))
                      for t in tracks]  # fmt: skip
            model = decomposition.NMF(
                self.atoms, init="random", random_state=self.seed, **self._settings()
            )
            with ignored_convergence():
                model.fit(levelled(np.concatenate(frames)))
            dictionaries[target] = np.asarray(model.components_)
            log.progress(done + 1, len(TARGETS))
        self.dictionaries_ = dictionaries
        self.rate_ = rate
        return self

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return each target's part of the model of the mixture."""
        if "dictionaries_" not in vars(self):
            raise BenchError("NMF is not trained: call fit, or load a trained one")
        n_channels, n_bins, n_frames = spectrogram.shape
        if not spectrogram.any():
            return masks.soft({target: np.zeros(spectrogram.shape) for target in TARGETS})
        frames = levelled(self._frames(spectrogram))
        atoms = np.concatenate([self.dictionaries_[target] for target in TARGETS])
        with ignored_convergence():
            # The start is flat, so the result does not depend on a seed.
            activations, _, _ = decomposition.non_negative_factorization(
                frames, H=atoms, n_components=len(atoms), update_H=False, **self._settings()
            )
        models = {}
        for i, target in enumerate(TARGETS):
            part = slice(i * self.atoms, (i + 1) * self.atoms)
            model = activations[:, part] @ atoms[part]
            models[target] = model.reshape(n_channels, n_frames, n_bins).transpose(0, 2, 1)
        return masks.soft(models)

    def _settings(self) -> dict[str, Any]:
        return {
            "solver": "mu",
            "beta_loss": "kullback-leibler",
            "max_iter": self.iterations,
            "tol": 1e-4,
        }

    @staticmethod
    def _frames(spectrogram: Spectrogram) -> NDArray[np.float32]:
        """Return magnitudes ``(channels * frames, bins)``; single precision halves the time."""
        magnitudes = np.abs(spectrogram).transpose(0, 2, 1)
        return magnitudes.reshape(-1, magnitudes.shape[-1]).astype(np.float32)


def levelled(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return frames with a mean of 1: the updates treat values near 0 by an absolute floor."""
    mean = frames.mean(dtype=np.float64)
    return frames if mean == 0 else (frames / mean).astype(np.float32)


def ignored_convergence() -> warnings.catch_warnings[None]:
    """Return a context in which stopping at the last iteration is no warning: it is the rule."""
    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)
