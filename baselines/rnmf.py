"""Robust NMF: a low-rank accompaniment and a sparse, non-negative voice.

    min over W, H, O >= 0 of  1/2 ||X - W H - O||_F^2 + ridge/2 (||W||^2 + ||H||^2) + weight ||O||_1

The ridge on W and H is the nuclear norm of the accompaniment in its Frobenius form; O is the
voice. `RNMF` minimises it on each mixture by multiplicative updates, which never raise the cost.
With W known, a frame's activations come from a few steps

    o = relu(x - W h - weight),   h = relu(h + step (W' (x - W h - o) - ridge h))

`SupervisedRNMF` unrolls `LAYERS` such steps into a network whose matrices and thresholds are its
own in every layer, starts it at the solver's, and trains it on the training clips to give the true
voice and accompaniment: the form to which the published figure belongs. Masks are in proportion to
both parts.

Differences from the paper: Adam on excerpts with fresh shifts in place of stochastic gradients on
clips; the thresholds are one a bin; the constants that the paper leaves open are chosen on
training songs.

References
----------
Sprechmann, Bronstein, Sapiro: Real-time online singing voice separation from monaural recordings
using robust low-rank modeling, ISMIR 2012.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.algorithms.nmf import TINY, robust_nmf
from baselines.networks.drnn.segments import Segments
from bench import masks, stft
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.methods.separator import (
    ChannelMaskSeparator,
    LevelledSeparator,
    Spectrogram,
    common_rate,
    separator,
)
from bench.track import TARGETS, Track

#: Root mean square of a mixture as the network sees it.
LEVEL = 1.0
LAYERS = 10
FRAMES, BATCH = 50, 16


@separator
class RNMF(ChannelMaskSeparator):
    """Robust NMF solved on each mixture, one channel at a time; soft mask.

    Parameters
    ----------
    atoms
        Number of components of the accompaniment.
    ridge, weight
        Weights of the accompaniment's components and of the voice in the cost, for a mixture of
        mean magnitude 1.
    iterations
        Number of updates.
    seed
        Seed of the start.
    n_fft, hop
        Window length and step of the transform in samples.
    """

    VERSION: ClassVar[int] = 1

    atoms: int = Field(20, ge=1)
    ridge: float = Field(1.0, ge=0)
    weight: float = Field(4.0, ge=0)
    iterations: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)

    def channel_masks(self, channel: Spectrogram, rate: int) -> Masks:
        """Return shares in proportion to the sparse and the low-rank part."""
        magnitude = np.abs(channel)
        mean = float(magnitude.mean()) or 1.0
        w, h, o = robust_nmf(
            magnitude / mean, self.atoms, self.ridge, self.weight, self.iterations, self.seed
        )
        return masks.soft({"vocals": o, "accompaniment": w @ h})


class Unrolled(nn.Module):
    """The network: steps of the solver, each with matrices and thresholds of its own.

    Parameters
    ----------
    w
        Dictionary that it starts from, ``(bins, atoms)``.
    ridge, weight
        Of the cost.
    """

    def __init__(self, w: Tensor, ridge: float, weight: float) -> None:
        super().__init__()
        n_bins, atoms = w.shape
        step = 1.0 / (float(torch.linalg.matrix_norm(w, 2)) ** 2 + ridge)
        self.synthesis = nn.Parameter(w.repeat(LAYERS + 1, 1, 1))
        self.analysis = nn.Parameter((step * w.T).repeat(LAYERS, 1, 1))
        self.memory = nn.Parameter(((1 - step * ridge) * torch.eye(atoms)).repeat(LAYERS, 1, 1))
        self.threshold = nn.Parameter(torch.full((LAYERS + 1, n_bins), float(weight)))

    def forward(self, x: Tensor) -> Tensor:
        """Map magnitudes ``(..., bins)`` to both parts ``(..., targets, bins)``, voice first."""
        h = x.new_zeros(*x.shape[:-1], self.memory.shape[-1])
        for layer in range(LAYERS):
            rest = x - h @ self.synthesis[layer].T
            o = torch.relu(rest - self.threshold[layer])
            h = torch.relu(h @ self.memory[layer].T + (rest - o) @ self.analysis[layer].T)
        backing = torch.relu(h @ self.synthesis[LAYERS].T)
        voice = torch.relu(x - backing - self.threshold[LAYERS])
        return torch.stack([voice, backing], dim=-2)


@separator
class SupervisedRNMF(LevelledSeparator):
    """Robust NMF unrolled into a network and trained; soft mask.

    Parameters
    ----------
    atoms
        Components of the accompaniment.
    ridge, weight
        Of the solver that the network starts from, for a mixture of unit root mean square.
    epochs
        Passes over the training clips.
    learning_rate
        Adam's at the start; it falls to 0 along half a cosine.
    seed
        Of the start and of every draw.
    n_fft, hop
        Of the transform.
    """

    VERSION: ClassVar[int] = 1
    GROUP: ClassVar[str] = "supervised"

    atoms: int = Field(60, ge=1)
    ridge: float = Field(0.1, ge=0)
    weight: float = Field(0.1, ge=0)
    epochs: int = Field(30, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = Field(0, ge=0)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Train on `tracks`; see `Separator.fit`."""
        rate, context = common_rate(tracks), context or FitContext()
        transform = (self.n_fft, self.hop)
        segments = Segments(tracks, LEVEL, *transform, FRAMES, 0, "random", "any", self.seed)
        network = Unrolled(self._dictionary(segments), self.ridge, self.weight).to(self.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        for epoch in range(self.epochs):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            segments.draw(epoch)
            segments.audio = segments.audio.to(self.device)
            total, n_values = 0.0, 0
            for batch in segments.epoch(generator, BATCH):
                x, references = segments.magnitudes(batch)
                parts = network(x)
                shares = parts / (parts.sum(-2, keepdim=True) + TINY)
                loss = (shares * x.unsqueeze(-2) - references).square().sum()
                optimizer.zero_grad()
                (loss / references.numel()).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                total, n_values = total + float(loss.detach()), n_values + references.numel()
            schedule.step()
            context.log_metrics(epoch + 1, {"train/loss": total / n_values})
            context.report_progress(epoch + 1, self.epochs)
        if not math.isfinite(total):
            raise BenchError("training diverged: the loss is not finite; lower learning_rate")
        self.weights_ = {
            name: p.detach().cpu().numpy().copy() for name, p in network.state_dict().items()
        }
        self.rate_ = rate
        return self

    def _dictionary(self, segments: Segments) -> Tensor:
        """Return spectra of the accompaniment by robust NMF of a part of its training frames."""
        backing = segments.clips[TARGETS.index("accompaniment")].cpu().double().numpy()
        magnitude = np.abs(stft.forward(backing[None], self.n_fft, self.hop))[0]
        chosen = np.random.default_rng(self.seed).permutation(magnitude.shape[1])[:2000]
        w, h, _ = robust_nmf(magnitude[:, chosen], self.atoms, self.ridge, 1e3, 100, self.seed)
        return torch.from_numpy(w * (np.linalg.norm(h, axis=1) / len(chosen) ** 0.5)).float()

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return shares in proportion to the network's two parts."""
        weights = {name: torch.from_numpy(w) for name, w in self.weights_.items()}
        network = Unrolled(weights["synthesis"][0], self.ridge, self.weight)
        network.load_state_dict(weights)
        magnitudes = np.abs(spectrogram)
        scaled = magnitudes * (LEVEL / self.level(magnitudes))
        inputs = torch.from_numpy(scaled.transpose(0, 2, 1)).float().to(self.device)
        with torch.no_grad():
            parts = network.to(self.device)(inputs).cpu().double().numpy()
        return masks.soft(
            {target: parts[:, :, i].transpose(0, 2, 1) for i, target in enumerate(TARGETS)}
        )
