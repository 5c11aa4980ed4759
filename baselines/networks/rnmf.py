"""Robust NMF unrolled into a network and trained.

With the dictionary W of robust NMF known (see `baselines.rnmf`), a frame's activations come from a
few steps

    o = relu(x - W h - weight),   h = relu(h + step (W' (x - W h - o) - ridge h))

`SupervisedRNMF` unrolls ten such steps into a network whose matrices and thresholds are its
own in every layer, starts it at the solver's, and trains it on the training clips to give the true
voice and accompaniment: the form to which the published score belongs. Masks are in proportion to
both parts; with ``mask: none`` the parts are the estimates themselves and need not add up to the
mixture.

Differences from the paper: Adam on excerpts with fresh shifts in place of stochastic gradients on
clips; one threshold for each bin. The constants that the paper leaves open are not tuned.

References
----------
Sprechmann, Bronstein, Sapiro: Real-time online singing voice separation from monaural recordings
using robust low-rank modeling, ISMIR 2012.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from baselines.algorithms.nmf import TINY, robust_nmf
from bench import stft
from bench.methods.separator import separator
from bench.track import TARGETS
from bench.training.network_separator import NetworkSeparator
from bench.training.optimizers import Scheduled
from bench.training.precision import Precision
from bench.training.settings import Memory

if TYPE_CHECKING:
    from torch import Tensor, nn

    from baselines.networks.unrolled import Unrolled
    from bench.training.excerpts import TrainingExcerpts


@separator
class SupervisedRNMF(NetworkSeparator):
    """Robust NMF unrolled into a network and trained; soft mask, or none.

    The fields that it shares with every network are those of `NetworkSeparator`.

    Parameters
    ----------
    atoms
        Components of the accompaniment.
    mask
        Function of the masking layer, in training and after: ``abs``, or ``none``: both parts as
        the solver gives them.
    ridge, weight
        Weights of the cost of the solver that the network starts from, for a mixture whose
        spectrogram has a root mean square of 1.
    learning_rate
        Step of Adam in the first epoch; it falls to 0 along half a cosine.
    """

    VERSION: ClassVar[int] = 1
    ON_GPU: ClassVar[bool] = False
    LEVEL: ClassVar[float] = 1.0
    MASK_EPSILON: ClassVar[float] = TINY
    ADDED: ClassVar[Mapping[str, Any]] = {
        **NetworkSeparator.ADDED,
        "gamma": 0.0,
        "objective": "squared_error",
        "mask": "abs",
        "test_mask": "none",
        "shift": "random",
        "pairing": "any",
        "recipe": "adam",
        "select": "last",
        "patience": 25,
        "batch_size": 16,
        "frames": 50,
        "clip_norm": 1.0,
        "precision": "float32",
    }

    atoms: int = Field(60, ge=1)
    # Its estimates leave by a mask of magnitudes, whatever it was trained with.
    mask: Literal["abs", "none"] = "abs"
    ridge: float = Field(0.1, ge=0)
    weight: float = Field(0.1, ge=0)
    epochs: int = Field(30, ge=1)
    select: Literal["best", "last"] = "last"
    batch_size: int = Field(16, ge=1)
    # Its products are small: bfloat16 saves no time, and thresholds need the digits.
    precision: Precision = "float32"

    def network(self, n_bins: int, rate: int) -> Unrolled:
        """Return the unrolled solver of any dictionary; `prepare` sets its own."""
        import torch

        from baselines.networks.unrolled import Unrolled

        return Unrolled(torch.eye(n_bins, self.atoms), self.ridge, self.weight)

    def prepare(self, network: Unrolled, excerpts: TrainingExcerpts) -> None:
        """Start at the solver whose dictionary is learnt from the training accompaniments."""
        from baselines.networks.unrolled import Unrolled

        start = Unrolled(self._dictionary(excerpts), self.ridge, self.weight)
        network.load_state_dict(start.state_dict())

    def _dictionary(self, excerpts: TrainingExcerpts) -> Tensor:
        """Return spectra of the accompaniment by robust NMF of a part of its training frames."""
        import torch

        accompaniment = excerpts.clips[TARGETS.index("accompaniment")].cpu().double().numpy()
        magnitude = np.abs(stft.forward(accompaniment[None], self.n_fft, self.hop))[0]
        chosen = np.random.default_rng(self.seed).permutation(magnitude.shape[1])[:2000]
        w, h, _ = robust_nmf(magnitude[:, chosen], self.atoms, self.ridge, 1e3, 100, self.seed)
        return torch.from_numpy(w * (np.linalg.norm(h, axis=1) / len(chosen) ** 0.5)).float()

    def memory(self) -> Memory:
        """Return ``none``: each frame is separated for itself."""
        return "none"

    def loss(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Return twice the objective of the other networks: whole squares, not halves of them."""
        return 2 * super().loss(estimates, references)

    def adam(self, parameters: Iterable[nn.Parameter], n_steps: int) -> Scheduled:
        """Return Adam, its rate falling along half a cosine from the first epoch on."""
        import torch

        from baselines.networks.unrolled import EpochCosine

        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        return optimizer, EpochCosine(optimizer, self.epochs, n_steps // self.epochs)

    def estimates(self, network: Unrolled, magnitudes: Tensor) -> Tensor:
        """Return both parts as the solver gives them; see `NetworkSeparator.estimates`."""
        from bench.training.inference import clip_outputs

        return clip_outputs(self, network, magnitudes.transpose(1, 2)).permute(0, 2, 3, 1)
