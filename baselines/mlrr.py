"""Multiple low-rank representation: voice and accompaniment each of low rank in its own dictionary.

    min ||Z_1||_* + beta ||Z_2||_* + lambda ||E||_1   subject to   X = D_1 Z_1 + D_2 Z_2 + E

with X the mixture's magnitude, D_1 and D_2 non-negative dictionaries of voice and accompaniment,
learnt online from the clean training signals, and E what neither explains. Each Z has a copy J
that takes the threshold on its singular values. The masks are in proportion to |D_1 Z_1| and |D_2
Z_2|. It separates voices as far as the two dictionaries differ, and lets both parts repeat.

Differences from the paper: beta and lambda could not be recovered and are those that separate
training songs held out best (`experiments/select_mlrr.yaml`); the dictionaries are scikit-learn's,
from frames of norm 1.

References
----------
Yang: Low-rank representation of both singing voice and music accompaniment via learned
dictionaries, ISMIR 2013.
Mairal, Bach, Ponce, Sapiro: Online dictionary learning for sparse coding, ICML 2009.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from baselines.algorithms.low_rank import Matrix, singular_value_threshold, soft_threshold
from baselines.algorithms.nmf import check_heard, ignored_convergence
from bench import masks, stft
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.methods.separator import ChannelMaskSeparator, Spectrogram, common_rate, separator
from bench.methods.subsample import fit_in_memory
from bench.track import TARGETS, Track

#: Number of frames in a batch of dictionary learning.
BATCH = 256
#: The solver: first penalty and its growth in each step, residual as a fraction of the matrix's
#: norm at which it ends, and largest number of steps.
MU, RHO, TOLERANCE, MAX_STEPS = 1e-3, 1.2, 1e-5, 500


def low_rank_representation(
    matrix: Matrix, dictionaries: Sequence[Matrix], beta: float, weight: float
) -> tuple[list[Matrix], Matrix]:
    """Represent a matrix in two dictionaries, both of low rank, and a sparse rest.

    Parameters
    ----------
    matrix
        ``(m, n)``.
    dictionaries
        Two, ``(m, k)`` each.
    beta, weight
        beta and lambda above, the weights of the second rank and of the rest.

    Returns
    -------
    representations
        Z_1 and Z_2, ``(k, n)`` each.
    rest
        E, ``(m, n)``; the constraint holds within 1e-5 of the matrix's norm.
    """
    norm = np.linalg.norm(matrix)
    n = matrix.shape[1]
    zs = [np.zeros((d.shape[1], n)) for d in dictionaries]
    copies = [np.zeros_like(z) for z in zs]
    rest, first = np.zeros_like(matrix), np.zeros_like(matrix)
    seconds = [np.zeros_like(z) for z in zs]
    if norm == 0:
        return zs, rest
    inverses = [np.linalg.inv(np.eye(d.shape[1]) + d.T @ d) for d in dictionaries]
    parts = [np.zeros_like(matrix) for _ in dictionaries]
    mu = MU
    for _ in range(MAX_STEPS):
        for i, (d, rank_weight) in enumerate(zip(dictionaries, (1.0, beta), strict=True)):
            copies[i] = singular_value_threshold(zs[i] + seconds[i] / mu, rank_weight / mu)
            others = matrix - parts[1 - i] - rest
            zs[i] = inverses[i] @ (d.T @ (others + first / mu) + copies[i] - seconds[i] / mu)
            parts[i] = d @ zs[i]
        rest = soft_threshold(matrix - parts[0] - parts[1] + first / mu, weight / mu)
        residual = matrix - parts[0] - parts[1] - rest
        gaps = [z - copy for z, copy in zip(zs, copies, strict=True)]
        first += mu * residual
        for second, gap in zip(seconds, gaps, strict=True):
            second += mu * gap
        mu *= RHO
        if max(np.linalg.norm(part) for part in (residual, *gaps)) < TOLERANCE * norm:
            break
    return zs, rest


def learnt_dictionary(
    frames: Matrix, atoms: int, iterations: int, seed: int, report: Callable[[int], None]
) -> NDArray[np.float64]:
    """Learn a non-negative dictionary online, one batch in each iteration.

    Parameters
    ----------
    frames
        ``(frames, bins)`` of norm 1.
    atoms, iterations, seed
        See `MLRR`.
    report
        Function that is told how many iterations are finished.

    Returns
    -------
    ndarray
        ``(bins, atoms)``, each atom of norm 1 at most.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    rng = np.random.default_rng(seed)
    model = MiniBatchDictionaryLearning(
        atoms,
        alpha=1.0 / np.sqrt(frames.shape[1]),
        fit_algorithm="cd",
        positive_code=True,
        positive_dict=True,
        dict_init=frames[rng.choice(len(frames), atoms, replace=len(frames) < atoms)],
        batch_size=min(BATCH, len(frames)),
        random_state=seed,
    )
    with ignored_convergence():
        for done in range(iterations):
            model.partial_fit(frames[rng.choice(len(frames), min(BATCH, len(frames)), False)])
            report(done + 1)
    return np.ascontiguousarray(np.asarray(model.components_, dtype=np.float64).T)


@separator
class MLRR(ChannelMaskSeparator):
    """Multiple low-rank representation, one channel at a time; soft mask.

    Parameters
    ----------
    atoms
        Number of spectra in the dictionary of a target.
    iterations
        Number of batches from which a dictionary is learnt.
    beta, weight
        Weight of the accompaniment's rank, and scale of the weight on what neither dictionary
        explains: ``lambda = weight / sqrt(max(m, n))``.
    seed
        Seed of the draws in training.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 2
    GROUP: ClassVar[str] = "supervised"
    AFTER_TRAINING: ClassVar[frozenset[str]] = frozenset({"beta", "weight"})

    atoms: int = Field(100, ge=1)
    iterations: int = Field(500, ge=1)
    beta: float = Field(1.0, gt=0)
    weight: float = Field(3.0, gt=0)
    seed: int = Field(0, ge=0)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Learn the dictionaries from the references of `tracks`; see `Separator.fit`."""
        rate = common_rate(tracks)
        tracks = fit_in_memory(tracks, self.seed)
        context = context or FitContext()
        dictionaries = {}
        for nth, target in enumerate(TARGETS):
            spectra = [stft.forward(t.references[target], self.n_fft, self.hop) for t in tracks]
            frames = np.concatenate([channel.T for s in spectra for channel in np.abs(s)])
            norms = np.linalg.norm(frames, axis=1)
            check_heard(norms, target)
            heard = norms > 1e-4 * norms.max()
            dictionaries[target] = learnt_dictionary(
                frames[heard] / norms[heard, None],
                self.atoms,
                self.iterations,
                self.seed,
                partial(self._report, context, nth),
            )
        self.dictionaries_ = dictionaries
        self.rate_ = rate
        return self

    def _report(self, context: FitContext, nth: int, done: int) -> None:
        """Report how many iterations are finished of the `nth` dictionary, from 0."""
        n = self.iterations
        context.report_progress(nth * n + done, len(TARGETS) * n, "batches")

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return shares in proportion to what each dictionary represents."""
        dictionaries = [self.dictionaries_[target] for target in TARGETS]
        magnitude = np.abs(channel)
        scale = float(magnitude.max()) or 1.0
        weight = self.weight / np.sqrt(max(magnitude.shape))
        zs, _ = low_rank_representation(magnitude / scale, dictionaries, self.beta, weight)
        parts = zip(TARGETS, dictionaries, zs, strict=True)
        return masks.soft({target: np.abs(dictionary @ z) for target, dictionary, z in parts})
