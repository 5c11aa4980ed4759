"""Training in Lightning: mini-batches, Adam with a cosine schedule, the best dev epoch kept."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from baselines.drnn.network import DRNNNetwork, with_context
from baselines.drnn.objective import Objective, discriminative
from baselines.drnn.segments import Excerpts, Segments
from bench import stft
from bench.errors import BenchError
from bench.separator import FitLog
from bench.track import TARGETS

#: What the best epoch is chosen by: gain in signal-to-noise ratio of the voice, in dB.
DEV_METRIC = "dev/snri"

#: Share of the steps over which the learning rate rises.
WARM_UP = 0.05


class Epoch(Iterable[Excerpts]):
    """The batches of one epoch, the same for the same seed and epoch whatever came before."""

    def __init__(self, segments: Segments, seed: int, epoch: int, batch_size: int) -> None:
        self.segments, self.seed, self.epoch, self.batch_size = segments, seed, epoch, batch_size

    def __iter__(self) -> Iterator[Excerpts]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return self.segments.epoch(generator, self.batch_size)

    def __len__(self) -> int:
        return math.ceil(self.segments.n_sequences / self.batch_size)


class DRNNModule(pl.LightningModule):
    """One training of the network.

    Parameters
    ----------
    network
        Initialised.
    segments
        Training sequences; their audio moves to the device with the module.
    dev
        For each dev clip its references ``(targets, samples)``, scaled as in training.
    objective, gamma
        See `baselines.drnn.objective`.
    epochs, batch_size, learning_rate, seed
        The schedule.
    """

    def __init__(
        self,
        network: DRNNNetwork,
        segments: Segments,
        dev: list[Tensor],
        objective: Objective,
        gamma: float,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.network, self.segments, self.dev = network, segments, dev
        self.objective, self.gamma = objective, gamma
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.learning_rate = learning_rate
        self.register_buffer("audio", segments.audio, persistent=False)

    def train_dataloader(self) -> Epoch:
        """Return the batches of the coming epoch."""
        return Epoch(self.segments, self.seed, self.current_epoch, self.batch_size)

    def val_dataloader(self) -> list[int]:
        """Return the numbers of the dev clips."""
        return list(range(len(self.dev)))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Leave the batch where it is: it holds only where to cut, not the audio."""
        return batch

    def on_fit_start(self) -> None:
        """Let the segments gather on the device that the audio was moved to."""
        self.segments.audio = self.get_buffer("audio")

    def training_step(self, batch: Excerpts, index: int) -> Tensor:
        """Return the objective of a batch, a frame and bin on average."""
        loss = self.loss(*self.segments.magnitudes(batch))
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=1)
        return loss

    def loss(self, mixture: Tensor, references: Tensor) -> Tensor:
        """Return the objective over the number of reference values, see `Segments.magnitudes`."""
        reach = self.segments.reach
        inside = slice(reach, mixture.shape[1] - reach)
        inputs = with_context(mixture, 2 * reach + 1)[:, inside]
        estimates = self.network(inputs, mixture[:, inside])
        total = discriminative(estimates, references, self.gamma, self.objective)
        return total / references.numel()

    def validation_step(self, clip: int, index: int) -> None:
        """Log how much the voice of a dev clip gains over the mixture, weighted by length."""
        sources = self.dev[clip].to(self.device)
        snri = improvement(self.network, sources, self.segments)
        length = sources.shape[1]
        self.log(DEV_METRIC, snri, on_epoch=True, batch_size=length)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return Adam, its rate rising over `WARM_UP` and then falling along half a cosine.

        The rise matters: inputs and hidden units are all positive, so the first steps of Adam
        push every weight of a unit the same way. At a full rate they silence units and drive a
        recurrent layer to grow without bound, and epochs are lost before it recovers.
        """
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)
        steps = self.epochs * len(self.train_dataloader())
        rise = max(1.0, WARM_UP * steps)

        def share(step: int) -> float:
            fall = 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
            return min((step + 1) / rise, 1.0) * fall

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def improvement(network: DRNNNetwork, sources: Tensor, segments: Segments) -> Tensor:
    """Return the gain in signal-to-noise ratio of the voice over the mixture, in dB.

    Parameters
    ----------
    network
        In use on the device of `sources`.
    sources
        References ``(targets, samples)``.
    segments
        For the settings of the transform.
    """
    mixture = sources.sum(0, keepdim=True)
    spectrogram = stft.forward(mixture, segments.n_fft, segments.hop)
    context = 2 * segments.reach + 1
    shares = clip_shares(network, spectrogram.abs(), context, segments.n_frames)
    voice = shares[:, TARGETS.index("vocals")]
    estimate = stft.inverse(voice * spectrogram, mixture.shape[1], segments.n_fft, segments.hop)
    reference = sources[TARGETS.index("vocals")]
    noise = (mixture[0] - reference).square().sum()
    return 10 * torch.log10(noise / (estimate[0] - reference).square().sum())


@torch.no_grad()
def clip_shares(network: DRNNNetwork, magnitudes: Tensor, context: int, frames: int) -> Tensor:
    """Return the shares of whole clips, edges repeated.

    The state starts at 0 every `frames` frames, as in training, and runs for as many frames
    before its output counts: each frame but the first few hears between `frames` and twice
    `frames` frames of the past. A state that runs on through a clip can grow without bound,
    since rectified units have none and training never saw it run longer.

    Parameters
    ----------
    magnitudes
        ``(clips, bins, frames)``.
    context
        Frames in an input.
    frames
        Frames of a training sequence.

    Returns
    -------
    Tensor
        ``(clips, targets, bins, frames)``.
    """
    inputs = with_context(magnitudes.transpose(1, 2), context)
    n_clips, n_frames, _ = inputs.shape
    if n_frames <= 2 * frames or not network.is_recurrent:
        return network.shares(inputs).permute(0, 2, 3, 1)
    n_runs = -(-n_frames // frames) - 1
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, (n_runs + 1) * frames - n_frames))
    runs = padded.unfold(1, 2 * frames, frames).transpose(2, 3).flatten(0, 1)
    shares = network.shares(runs)
    shares = shares.reshape(n_clips, n_runs, *shares.shape[1:])
    first, rest = shares[:, 0, :frames], shares[:, :, frames:].flatten(1, 2)
    return torch.cat([first, rest], dim=1)[:, :n_frames].permute(0, 2, 3, 1)


class Teller(Callback):
    """Passes curves and progress on to the runner's log."""

    def __init__(self, log: FitLog) -> None:
        self.told = log

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the epoch's figures."""
        done = trainer.current_epoch + 1
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self.told.metrics(done, values | {"train/learning_rate": rate})
        self.told.progress(done, trainer.max_epochs or done)


class BestWeights(Callback):
    """Keeps the weights of the best dev epoch, in the checkpoint too, so that a resume has them."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.weights: dict[str, Tensor] | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights where the dev figure is the best so far."""
        score = float(trainer.callback_metrics[DEV_METRIC])
        if score > self.score:
            self.score, self.weights = score, weights_of(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it."""
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint held."""
        self.score, self.weights = state_dict["score"], state_dict["weights"]


def weights_of(module: pl.LightningModule) -> dict[str, Tensor]:
    """Return a copy of the network's weights on the CPU."""
    state = module.state_dict()
    return {k.removeprefix("network."): v.detach().cpu().clone() for k, v in state.items()}


def train(
    module: DRNNModule, log: FitLog, device: str, patience: int, clip_norm: float
) -> dict[str, Tensor]:
    """Train to the end, or on from the last checkpoint, and return the chosen weights.

    Parameters
    ----------
    module
        A fresh module.
    log
        Told at each epoch; where it has a folder, each epoch's state is kept there and an earlier
        one is taken up. One that cannot be read is dropped, and training begins again.
    device
        ``cpu`` or ``cuda``.
    patience
        Epochs without a better dev figure before training stops.
    clip_norm
        Largest norm of the gradient.

    Returns
    -------
    dict
        The weights of the best dev epoch, of the last where there is no dev clip.

    Raises
    ------
    BenchError
        The loss is no longer finite.
    """
    best = BestWeights()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (log.folder or Path(scratch)) / "checkpoints"
        keeper = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
        callbacks: list[Callback] = [Teller(log), keeper]
        if module.dev:
            callbacks += [best, EarlyStopping(DEV_METRIC, patience=patience, mode="max")]
        trainer = quiet_trainer(
            max_epochs=module.epochs,
            accelerator="gpu" if device == "cuda" else "cpu",
            callbacks=callbacks,
            gradient_clip_val=clip_norm,
        )
        last = folder / "last.ckpt"
        with warnings.catch_warnings():
            # The loader is a plain iterable by design: batches are drawn, not read.
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            try:
                checkpoint = last if is_readable(last) else None
                trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
            except SystemExit:  # what Lightning makes of Ctrl-C
                raise KeyboardInterrupt from None
    weights = best.weights or weights_of(module)
    finite = all(bool(torch.isfinite(w).all()) for w in weights.values())
    if not finite or not math.isfinite(float(trainer.callback_metrics.get("train/loss", 0.0))):
        raise BenchError("training diverged: the loss is not finite; lower learning_rate")
    return weights


def is_readable(checkpoint: Path) -> bool:
    """Tell whether a checkpoint is there and whole; one that is damaged is removed."""
    if not checkpoint.is_file():
        return False
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is of no use
        checkpoint.unlink()
        return False
    return True


def quiet_trainer(**settings: Any) -> pl.Trainer:
    """Return a Trainer on one device that prints nothing and keeps no log of its own."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return pl.Trainer(
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        deterministic=True,
        **settings,
    )
