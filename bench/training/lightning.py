"""One training of a network, in Lightning: the objective of a batch, dev, and the two recipes.

`MiniBatches` (``adam``): Adam on batches of excerpts with fresh shifts, an epoch a pass.
`FullBatch` (``lbfgs``): the authors' L-BFGS on all shifted mixtures, an epoch an iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from bench import stft
from bench.errors import BenchError
from bench.track import TARGETS
from bench.training import optimizers
from bench.training.augmentation import with_hidden_bins
from bench.training.excerpts import BatchIndex, TrainingExcerpts
from bench.training.inference import clip_estimates, improvement
from bench.training.objective import TINY
from bench.training.precision import UsedPrecision
from bench.training.settings import TrainingSettings

#: Metric that selects the best epoch: gain in signal-to-noise ratio of the voice, in dB.
DEV_METRIC = "dev/snri"


class TrainingModule(pl.LightningModule):
    """The part that both recipes share: the objective of a batch, and dev.

    Parameters
    ----------
    settings
        Hyperparameters and declarations of the network.
    network
        The network with its initial weights.
    excerpts
        Training clips; their audio moves to the device with the module.
    dev
        References ``(targets, samples)`` of each dev clip, scaled as in training.

    Attributes
    ----------
    earlier_precisions
        Precisions in which a resumed training was trained before this process.
    layer_precision
        Precision of the network's products.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        network: nn.Module,
        excerpts: TrainingExcerpts,
        dev: list[Tensor],
    ) -> None:
        super().__init__()
        self.settings, self.network, self.excerpts, self.dev = settings, network, excerpts, dev
        self.layer_precision: UsedPrecision = settings.used_precision()
        self.earlier_precisions: Sequence[str] = ()
        self.register_buffer("audio", excerpts.audio, persistent=False)
        # It is the same on all devices: DDP need not send it round at each step.
        self._ddp_params_and_buffers_to_ignore = ["audio"]

    @property
    def clip_norm(self) -> float | None:
        """Largest norm of the gradient; None: it is not limited."""
        return None

    def val_dataloader(self) -> list[int]:
        """Return the indices of the dev clips."""
        return list(range(len(self.dev)))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Return the batch where it is: it holds only where to cut, not the audio."""
        return batch

    def on_fit_start(self) -> None:
        """Let the excerpts be gathered on the device that the audio was moved to."""
        self.excerpts.audio = self.get_buffer("audio")

    def cost(self, batch: BatchIndex, draw: int = 0) -> tuple[Tensor, int]:
        """Return the objective summed over a batch, and the number of reference values in it.

        The network works in `layer_precision`, the masking layer and the objective in float32. The
        network's own random draws, as in dropout, depend only on the seed and on `draw`, so that a
        resumed training repeats those of an undisturbed one; the dropout inside an LSTM on a GPU is
        an exception, since cuDNN keeps its state. PyTorch's global generator is restored.

        Parameters
        ----------
        batch
            Sequences of the batch.
        draw
            Number that tells the random draws of this call from those of others.

        Raises
        ------
        BenchError
            The network's output has another shape than it should.
        """
        mixture, references = self.excerpts.magnitudes(batch)
        n_context = self.excerpts.n_context
        inside = mixture[:, n_context : mixture.shape[1] - n_context]
        seen = mixture
        if self.settings.spectral_mask:
            seen = with_hidden_bins(mixture, batch.hidden)
        low = self.layer_precision == "bfloat16"
        devices = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            torch.autocast(self.device.type, torch.bfloat16, enabled=low),
        ):
            torch.manual_seed(self.settings.seed * 1_000_003 + draw)
            stages = self.settings.stages(self.network, seen)
        counts: Tensor | None = None
        if bool((batch.n_frames < references.shape[1]).any()):
            steps = torch.arange(references.shape[1])
            counts = (steps < batch.n_frames[:, None]).to(self.device)
            references = references[counts]
        losses = []
        for outputs in stages:
            self._check_shape(outputs, inside)
            estimates = self.settings.masked(outputs.to(mixture.dtype), inside)
            estimates = estimates if counts is None else estimates[counts]
            losses.append(self.settings.loss(estimates, references))
        return torch.stack(losses).sum(), references.numel()

    def _check_shape(self, outputs: Tensor, x: Tensor) -> None:
        """Refuse outputs that do not fit magnitudes `x` of ``(sequence, frames, bins)``."""
        n_sequences, n_frames, n_bins = x.shape
        least = 1 if self.settings.mask == "none" else len(TARGETS)
        counts = range(least, len(TARGETS) + 1)
        if tuple(outputs.shape) not in [(n_sequences, n_frames, n, n_bins) for n in counts]:
            expected = (n_sequences, n_frames, len(TARGETS), n_bins)
            raise BenchError(
                f"the network of {type(self.settings).__name__} gives outputs of shape "
                f"{tuple(outputs.shape)}; expected (sequences, frames, targets, bins), "
                f"here {expected}"
            )

    def validation_step(self, clip: int, index: int) -> None:
        """Log the gain of the voice of a dev clip over the mixture, weighted by length."""
        sources = self.dev[clip].to(self.device)
        snri = improvement(self.settings, self.network, sources)
        self.log(DEV_METRIC, snri, on_epoch=True, batch_size=sources.shape[1])

    @torch.no_grad()
    def pictures(self) -> dict[str, NDArray[np.float32]]:
        """Return the voice's mask on the first dev clip, and its estimated spectrogram.

        Each is ``(bins, frames)`` in [0, 1]; the spectrogram's level from 70 dB below the peak of
        the mixture.
        """
        mixture = self.dev[0].to(self.device).sum(0, keepdim=True)
        magnitudes = stft.forward(mixture, self.settings.n_fft, self.settings.hop).abs()
        estimates = clip_estimates(self.settings, self.network, magnitudes)[0]
        voice = estimates[TARGETS.index("vocals")]
        share = (voice / magnitudes[0].clamp(min=TINY)).clamp(max=1)
        level = 1 + 20 / 70 * torch.log10((voice / magnitudes.max()).clamp(min=TINY))
        pictures = {"dev_mask_vocals": share, "dev_spectrogram_vocals": level.clamp(0, 1)}
        return {name: values.float().cpu().numpy() for name, values in pictures.items()}


class Epoch(Iterable[BatchIndex]):
    """The batches of one epoch, the same for the same seed and epoch whatever came before."""

    def __init__(self, excerpts: TrainingExcerpts, seed: int, epoch: int, batch_size: int) -> None:
        self.excerpts, self.seed, self.epoch, self.batch_size = excerpts, seed, epoch, batch_size

    def __iter__(self) -> Iterator[BatchIndex]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return self.excerpts.epoch(generator, self.batch_size)

    def __len__(self) -> int:
        return math.ceil(self.excerpts.n_sequences / self.batch_size)


class MiniBatches(TrainingModule):
    """Adam on mini-batches; shifts and pairs are drawn anew each epoch."""

    @property
    def clip_norm(self) -> float:
        """Largest norm of the gradient."""
        return self.settings.clip_norm

    def train_dataloader(self) -> Epoch:
        """Return the batches of the next epoch.

        Other excerpts of a corpus that is larger than memory are loaded first.
        """
        settings = self.settings
        if self.excerpts.draw(self.current_epoch):
            self.register_buffer("audio", self.excerpts.audio.to(self.device), persistent=False)
            self.excerpts.audio = self.get_buffer("audio")
        return Epoch(self.excerpts, settings.seed, self.current_epoch, settings.batch_size)

    def training_step(self, batch: BatchIndex, index: int) -> Tensor:
        """Return the objective of a batch divided by its number of reference values.

        These are the frames times the targets times the bins.

        Each of several processes takes a part of the batch, weighted so that the mean of their
        gradients is that of the batch: any number of devices gives the same training.
        """
        n = self.trainer.world_size
        part = batch if n == 1 else batch.part(self.global_rank, n)
        n_own, n_frames = int(part.n_frames.sum()), int(batch.n_frames.sum())
        if n_own == 0:  # fewer sequences than processes: one without weight
            part = batch.part(0, len(batch.start))
        total, n_values = self.cost(part, self.global_step * n + self.global_rank)
        loss = total / n_values * (n * n_own / n_frames)
        value = loss.detach()
        self.log("train/loss", value, on_step=False, on_epoch=True, batch_size=1, sync_dist=n > 1)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return Adam and its schedule; see `TrainingSettings.adam`."""
        n_steps = self.settings.epochs * len(self.train_dataloader())
        optimizer, schedule = self.settings.adam(self.network.parameters(), n_steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class FullBatch(TrainingModule):
    """L-BFGS on the whole training set, an iteration an epoch: the authors' own training.

    The objective is the paper's sum over frames and bins; it is evaluated in batches, which
    bound the memory and change nothing else.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        network: nn.Module,
        excerpts: TrainingExcerpts,
        dev: list[Tensor],
    ) -> None:
        super().__init__(settings, network, excerpts, dev)
        self.automatic_optimization = False
        #: Point, value and gradient of the evaluations since the last iteration began.
        self.evaluated: list[tuple[Tensor, Tensor, Tensor]] = []
        #: Reference values in the whole training set, once it was evaluated.
        self.n_values = 0

    def train_dataloader(self) -> list[int]:
        """Return one step: an iteration draws nothing."""
        return [0]

    def training_step(self, batch: int, index: int) -> None:
        """Take one iteration."""
        optimizer: Any = self.optimizers()
        loss = optimizer.step(self._evaluation(optimizer))
        n_values = max(self.n_values, 1)
        self.log("train/loss", loss / n_values, on_step=False, on_epoch=True, batch_size=1)

    def _evaluation(self, optimizer: Any) -> Callable[[], Tensor]:
        """Return a function that returns the value here and leaves the gradient in the parameters.

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
            value, self.n_values = torch.zeros((), dtype=torch.float64), 0
            for n, batch in enumerate(self.excerpts.every(self.settings.batch_size)):
                total, n_values = self.cost(batch, n)  # the same draws at each evaluation
                self.manual_backward(total)
                value += total.detach().double().cpu()
                self.n_values += n_values
            gradient = parameters_to_vector(
                [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            )
            self.evaluated.append((here, value, gradient))
            return value

        return evaluate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return L-BFGS; see `bench.training.optimizers.lbfgs`."""
        return optimizers.lbfgs(self.network.parameters())


#: The class of each recipe.
RECIPES: dict[str, type[TrainingModule]] = {"adam": MiniBatches, "lbfgs": FullBatch}
