"""One training of the network, in Lightning: the objective and the two recipes.

`MiniBatches` (``adam``): Adam on batches of excerpts with fresh shifts, an epoch a pass.
`FullBatch` (``lbfgs``): the authors' L-BFGS on all shifted mixtures, an epoch an iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from baselines.networks.drnn.inference import TINY, clip_estimates, improvement
from baselines.networks.drnn.network import DRNNNetwork
from baselines.networks.drnn.objective import discriminative
from baselines.networks.drnn.segments import BatchIndex, Segments
from bench import stft
from bench.track import TARGETS

if TYPE_CHECKING:
    from baselines.networks.drnn.separator import DRNN

#: What the best epoch is chosen by: gain in signal-to-noise ratio of the voice, in dB.
DEV_METRIC = "dev/snri"

#: Share of Adam's steps over which the learning rate rises.
WARM_UP = 0.05

#: Past steps that L-BFGS remembers, and evaluations that one line search may take.
MEMORY, LINE_SEARCH = 50, 25


class DRNNModule(pl.LightningModule):
    """What both recipes share: the objective of a batch, and dev.

    Parameters
    ----------
    settings
        The hyperparameters.
    network
        Initialised.
    segments
        Training sequences; their audio moves to the device with the module.
    dev
        For each dev clip its references ``(targets, samples)``, scaled as in training.

    Attributes
    ----------
    checkpoint_every
        Epochs from one checkpoint to the next.
    clip_norm
        Largest norm of the gradient, or None.
    """

    checkpoint_every = 1
    clip_norm: float | None = None

    def __init__(
        self, settings: DRNN, network: DRNNNetwork, segments: Segments, dev: list[Tensor]
    ) -> None:
        super().__init__()
        self.settings, self.network, self.segments, self.dev = settings, network, segments, dev
        self.register_buffer("audio", segments.audio, persistent=False)
        # It is the same on all devices: DDP need not send it round at each step.
        self._ddp_params_and_buffers_to_ignore = ["audio"]

    def val_dataloader(self) -> list[int]:
        """Return the numbers of the dev clips."""
        return list(range(len(self.dev)))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Leave the batch where it is: it holds only where to cut, not the audio."""
        return batch

    def on_fit_start(self) -> None:
        """Let the segments gather on the device that the audio was moved to."""
        self.segments.audio = self.get_buffer("audio")

    def cost(self, batch: BatchIndex) -> tuple[Tensor, int]:
        """Return the objective summed over a batch, and over how many reference values.

        The layers work in the precision asked for; features, mask and objective in float32.
        """
        mixture, references = self.segments.magnitudes(batch)
        reach = self.segments.reach
        inside = slice(reach, mixture.shape[1] - reach)
        inputs = self.network.features(mixture)[:, inside]
        low = self.settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            outputs = self.network.outputs(inputs)
        estimates = self.network.masked(outputs, mixture[:, inside])
        if bool((batch.n_frames < references.shape[1]).any()):
            steps = torch.arange(references.shape[1])
            counts = (steps < batch.n_frames[:, None]).to(self.device)
            estimates, references = estimates[counts], references[counts]
        total = discriminative(estimates, references, self.settings.gamma, self.settings.objective)
        return total, references.numel()

    def validation_step(self, clip: int, index: int) -> None:
        """Log how much the voice of a dev clip gains over the mixture, weighted by length."""
        sources = self.dev[clip].to(self.device)
        cut = self.segments
        snri = improvement(self.network, sources, cut.n_fft, cut.hop, cut.n_frames)
        self.log(DEV_METRIC, snri, on_epoch=True, batch_size=sources.shape[1])

    @torch.no_grad()
    def pictures(self) -> dict[str, NDArray[np.float32]]:
        """Return the voice's mask on the first dev clip, and its estimated spectrogram.

        Each is ``(bins, frames)`` in [0, 1]; the spectrogram's level from 70 dB below the peak of
        the mixture.
        """
        cut = self.segments
        mixture = self.dev[0].to(self.device).sum(0, keepdim=True)
        magnitudes = stft.forward(mixture, cut.n_fft, cut.hop).abs()
        voice = clip_estimates(self.network, magnitudes, cut.n_frames)[0, TARGETS.index("vocals")]
        share = (voice / magnitudes[0].clamp(min=TINY)).clamp(max=1)
        level = 1 + 20 / 70 * torch.log10((voice / magnitudes.max()).clamp(min=TINY))
        shown = {"dev_mask_vocals": share, "dev_spectrogram_vocals": level.clamp(0, 1)}
        return {name: values.float().cpu().numpy() for name, values in shown.items()}


class Epoch(Iterable[BatchIndex]):
    """The batches of one epoch, the same for the same seed and epoch whatever came before."""

    def __init__(self, segments: Segments, seed: int, epoch: int, batch_size: int) -> None:
        self.segments, self.seed, self.epoch, self.batch_size = segments, seed, epoch, batch_size

    def __iter__(self) -> Iterator[BatchIndex]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return self.segments.epoch(generator, self.batch_size)

    def __len__(self) -> int:
        return math.ceil(self.segments.n_sequences / self.batch_size)


class MiniBatches(DRNNModule):
    """Adam, its rate rising and then falling along half a cosine; shifts drawn anew each epoch."""

    def __init__(
        self, settings: DRNN, network: DRNNNetwork, segments: Segments, dev: list[Tensor]
    ) -> None:
        super().__init__(settings, network, segments, dev)
        self.clip_norm = settings.clip_norm

    def train_dataloader(self) -> Epoch:
        """Return the batches of the coming epoch, cut from other excerpts of a large corpus."""
        chosen = self.settings
        if self.segments.draw(self.current_epoch):
            self.register_buffer("audio", self.segments.audio.to(self.device), persistent=False)
            self.segments.audio = self.get_buffer("audio")
        return Epoch(self.segments, chosen.seed, self.current_epoch, chosen.batch_size)

    def training_step(self, batch: BatchIndex, index: int) -> Tensor:
        """Return the objective of a batch, a frame and bin on average.

        Of several processes each takes a part of the batch, weighted so that the mean of their
        gradients is that of the batch: as many devices as you like give the same training.
        """
        n = self.trainer.world_size
        part = batch if n == 1 else batch.part(self.global_rank, n)
        n_own, n_frames = int(part.n_frames.sum()), int(batch.n_frames.sum())
        if n_own == 0:  # fewer sequences than processes: one without weight
            part = batch.part(0, len(batch.clip))
        total, n_values = self.cost(part)
        loss = total / n_values * (n * n_own / n_frames)
        value = loss.detach()
        self.log("train/loss", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=n > 1)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return Adam, its rate rising over `WARM_UP` and then falling along half a cosine.

        The rise matters: inputs and hidden units are all positive, so the first steps of Adam
        push every weight of a unit the same way. At a full rate they silence units and drive a
        recurrent layer to grow without bound, and epochs are lost before it recovers.
        """
        optimizer = torch.optim.Adam(
            self.network.parameters(), lr=self.settings.learning_rate, fused=True
        )
        steps = self.settings.epochs * len(self.train_dataloader())
        rise = max(1.0, WARM_UP * steps)

        def share(step: int) -> float:
            fall = 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
            return min((step + 1) / rise, 1.0) * fall

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class FullBatch(DRNNModule):
    """L-BFGS on the whole training set, an iteration an epoch: the authors' own training.

    The objective is the paper's sum over frames and bins; it is evaluated in batches, which
    bound the memory and change nothing else.
    """

    # Fifty past steps of a large network are gigabytes.
    checkpoint_every = 10

    def __init__(
        self, settings: DRNN, network: DRNNNetwork, segments: Segments, dev: list[Tensor]
    ) -> None:
        super().__init__(settings, network, segments, dev)
        self.automatic_optimization = False
        sequences = segments.every(2**20)
        n_frames = sum(int(batch.n_frames.sum()) for batch in sequences)
        self.n_values = n_frames * network.output.out_features
        #: Point, value and gradient of the evaluations since the last iteration began.
        self.evaluated: list[tuple[Tensor, Tensor, Tensor]] = []

    def train_dataloader(self) -> list[int]:
        """Return one step: an iteration draws nothing."""
        return [0]

    def training_step(self, batch: int, index: int) -> None:
        """Take one iteration."""
        optimizer: Any = self.optimizers()
        loss = optimizer.step(self.evaluation(optimizer))
        self.log("train/loss", loss / self.n_values, on_step=False, on_epoch=True, batch_size=1)

    def evaluation(self, optimizer: Any) -> Callable[[], Tensor]:
        """Return what gives the value here, and leaves the gradient in the parameters.

        An iteration begins where the line search of the one before has ended, so that point is
        known already; without this every iteration would cost one evaluation more.
        """
        parameters = list(self.network.parameters())

        def evaluate() -> Tensor:
            here = parameters_to_vector(parameters).detach()
            for known in self.evaluated:
                if torch.equal(known[0], here):
                    self.evaluated = [known]
                    parts = torch.split(known[2], [p.numel() for p in parameters])
                    for parameter, part in zip(parameters, parts, strict=True):
                        parameter.grad = part.view_as(parameter).clone()
                    return known[1]
            optimizer.zero_grad()
            value = torch.zeros((), dtype=torch.float64)
            for batch in self.segments.every(self.settings.batch_size):
                total, _ = self.cost(batch)
                self.manual_backward(total)
                value += total.detach().double().cpu()
            gradient = parameters_to_vector([p.grad for p in parameters if p.grad is not None])
            self.evaluated.append((here, value, gradient))
            return value

        return evaluate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return L-BFGS as the authors set it, one iteration a step."""
        return torch.optim.LBFGS(
            self.network.parameters(),
            lr=1.0,
            max_iter=1,
            max_eval=LINE_SEARCH + 1,
            tolerance_grad=1e-5,
            tolerance_change=1e-9,
            history_size=MEMORY,
            line_search_fn="strong_wolfe",
        )


#: The class of each recipe.
RECIPES: dict[str, type[DRNNModule]] = {"adam": MiniBatches, "lbfgs": FullBatch}
