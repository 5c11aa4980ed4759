"""NMF with dictionaries of spectra, learnt from the targets' clean training signals.

    train  |S_i| ~ W_i H_i for each target,   test  |X| ~ [W_1 W_2] [H_1; H_2], W fixed

under the generalised Kullback-Leibler divergence of magnitudes or the Itakura-Saito divergence of
powers, by multiplicative updates; the mask is each target's part of the model,
``W_i H_i / sum_j W_j H_j``. It separates voices as far as the spectra of a voice cannot be built
from those of an accompaniment. In the semi-supervised form the accompaniment's dictionary is free
on each mixture: only the voice must have been heard before.

Differences from the paper's baseline: scikit-learn's updates and stopping rule where every
dictionary is fixed, and frames as they are, not normalised.

References
----------
Lee, Seung: Algorithms for non-negative matrix factorization, NIPS 2000 (updates).
Févotte, Bertin, Durrieu: Nonnegative matrix factorization with the Itakura-Saito divergence, Neural
Computation 21(3), 2009 (Itakura-Saito).
Smaragdis, Raj, Shashanka: Supervised and semi-supervised separation of sounds from single-channel
mixtures, ICA 2007 (semi-supervised).
Huang et al., IEEE/ACM TASLP 23(12), 2015, section IV-A (supervised NMF as a baseline).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from baselines.algorithms.nmf import (
    check_heard,
    ignored_convergence,
    levelled,
    semi_supervised,
)
from bench import masks, stft
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.methods.separator import MaskSeparator, Spectrogram, common_rate, separator
from bench.methods.subsample import fit_in_memory
from bench.track import TARGETS, Track


@separator
class NMF(MaskSeparator):
    """NMF with one dictionary a target.

    Parameters
    ----------
    form
        ``supervised``: both dictionaries learnt in training; ``semi``: the accompaniment's is free
        on each mixture.
    divergence
        ``kl``: generalised Kullback-Leibler, of magnitudes; ``is``: Itakura-Saito, of powers.
    atoms
        Number of spectra in the dictionary of a target.
    iterations
        Largest number of updates, in training and in separation.
    seed
        Seed of the random starts.
    """

    VERSION: ClassVar[int] = 2
    GROUP: ClassVar[str] = "supervised"

    form: Literal["supervised", "semi"] = "supervised"
    divergence: Literal["kl", "is"] = "kl"
    atoms: int = Field(20, ge=1)
    iterations: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Learn the dictionaries from the references of `tracks`; see `Separator.fit`."""
        from sklearn import decomposition

        rate, tracks = common_rate(tracks), fit_in_memory(tracks, self.seed)
        context = context or FitContext()
        dictionaries = {}
        targets = TARGETS if self.form == "supervised" else ("vocals",)
        for done, target in enumerate(targets):
            frames = np.concatenate(
                [
                    self._frames(stft.forward(t.references[target], self.n_fft, self.hop))
                    for t in tracks
                ]
            )
            check_heard(frames, target)
            model = decomposition.NMF(
                self.atoms, init="random", random_state=self.seed, **self._settings()
            )
            with ignored_convergence():
                model.fit(levelled(frames))
            dictionaries[target] = np.asarray(model.components_)
            context.report_progress(done + 1, len(targets))
        self.dictionaries_ = dictionaries
        self.rate_ = rate
        return self

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return each target's part of the model of the mixture."""
        from sklearn import decomposition

        n_channels, n_bins, n_frames = spectrogram.shape
        if not spectrogram.any():
            return masks.soft({target: np.zeros(spectrogram.shape) for target in TARGETS})
        frames = levelled(self._frames(spectrogram))
        if self.form == "semi":
            fixed = self.dictionaries_["vocals"].astype(np.float64)
            activations, atoms = semi_supervised(
                frames, fixed, self.atoms, self.divergence, self.iterations, self.seed
            )
        else:
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
        """Return the arguments of scikit-learn's NMF."""
        return {
            "solver": "mu",
            "beta_loss": "kullback-leibler" if self.divergence == "kl" else "itakura-saito",
            "max_iter": self.iterations,
            "tol": 1e-4,
        }

    def _frames(self, spectrogram: Spectrogram) -> NDArray[np.float64]:
        """Return magnitudes or powers, by the divergence, ``(channels * frames, bins)``."""
        magnitudes = np.abs(spectrogram).transpose(0, 2, 1)
        frames = magnitudes.reshape(-1, magnitudes.shape[-1])
        return frames if self.divergence == "kl" else np.square(frames)
