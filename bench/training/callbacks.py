"""Callbacks of a training: curves, the check of hosts, best weights, checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from torch import Tensor

from bench.errors import BenchError
from bench.methods.context import FitContext
from bench.training.lightning import DEV_METRIC, TrainingModule

#: Largest share of the training time that checkpoints may take.
CHECKPOINT_SHARE = 0.01


class ProgressCallback(Callback):
    """Passes curves, pictures and progress on to the context of the training.

    It must come before `WeightAverage`, which puts the trained weights back at the end of a
    validation.
    """

    def __init__(self, context: FitContext) -> None:
        self.context = context

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the epochs that a checkpoint has, so that the time left is that of the others."""
        if trainer.is_global_zero:
            self.context.report_progress(trainer.current_epoch, trainer.max_epochs or 0, "epochs")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's metrics, from the first of several processes alone.

        All of them read the metrics, since a metric is put together by all when it is read.
        """
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        if not trainer.is_global_zero:
            return
        done = trainer.current_epoch + 1
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.context.log_metrics(done, values | {"train/learning_rate": rate})
        text = f"loss {values['train/loss']:.3g}" if "train/loss" in values else ""
        self.context.report_progress(done, trainer.max_epochs or done, "epochs", text)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log pictures of some epochs, by the weights that were validated and in their mode.

        In training mode a batch normalisation would learn from the dev clip.
        """
        done = trainer.current_epoch + 1
        if trainer.is_global_zero and done & (done - 1) == 0:  # 1, 2, 4, 8...: changes come early
            for name, picture in cast(TrainingModule, pl_module).pictures().items():
                self.context.log_picture(done, name, picture)


class History(Callback):
    """Keeps the time of a training so far and its precisions in the checkpoint.

    Its state has ``seconds``, the time of the training without its interruptions, and
    ``precisions``, those of all processes that trained it.
    """

    def __init__(self) -> None:
        self._earlier: dict[str, Any] = {"seconds": 0.0, "precisions": []}
        self._start = time.monotonic()
        self._precision = ""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()
        self._precision = cast(TrainingModule, pl_module).layer_precision

    def state_dict(self) -> dict[str, Any]:
        """Return the part of a checkpoint that this callback needs."""
        return {
            "seconds": self._earlier["seconds"] + time.monotonic() - self._start,
            "precisions": sorted({*self._earlier["precisions"], self._precision}),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._earlier = state_dict


class SyncCheck(Callback):
    """Checks that all processes train the same cell; makes them leave the group together."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to go on where another host trains another model under the same address."""
        own = repr(cast(TrainingModule, pl_module).settings)
        if trainer.world_size > 1 and trainer.strategy.broadcast(own) != own:
            raise BenchError("the hosts train different cells; start the same command on each")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Wait for the other processes and leave the group: one that just ends may abort others."""
        if trainer.world_size > 1 and torch.distributed.is_initialized():
            trainer.strategy.barrier()
            torch.distributed.destroy_process_group()


class BestWeights(Callback):
    """Keeps the weights of the best dev epoch, in the checkpoint too, so that a resume has them."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.weights: dict[str, Tensor] | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights where the dev score is the best so far."""
        score = float(trainer.callback_metrics[DEV_METRIC])
        if score > self.score:
            self.score, self.weights = score, weights_of(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the part of a checkpoint that this callback needs."""
        return {"score": self.score, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.score, self.weights = state_dict["score"], state_dict["weights"]


class WeightAverage(Callback):
    """Keeps a moving average of the weights, which takes their place in validation.

    It must come after `BestWeights`, which copies the weights at the end of a validation.

    Parameters
    ----------
    decay
        Weight of the average so far at each step.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.current: dict[str, Tensor] = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Move the average towards the weights after a step."""
        network = cast(TrainingModule, pl_module).network
        with torch.no_grad():
            for name, weight in network.state_dict().items():
                if name not in self.average or not weight.is_floating_point():
                    self.average[name] = weight.detach().clone()
                else:
                    average = self.average[name].to(weight.device)
                    self.average[name] = average.lerp(weight, 1 - self.decay)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in the place of the weights."""
        network = cast(TrainingModule, pl_module).network
        self.current = {name: w.detach().clone() for name, w in network.state_dict().items()}
        network.load_state_dict(self.average)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        cast(TrainingModule, pl_module).network.load_state_dict(self.current)
        self.current = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the part of a checkpoint that this callback needs."""
        return {"weights": {name: w.cpu().clone() for name, w in self.average.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.average = dict(state_dict["weights"])


class PeriodicCheckpoint(Checkpoint):
    """Writes a checkpoint at the end of an epoch, as often as its cost allows.

    The first and the last epoch end with one. In between, one is written when the last
    one took less than `CHECKPOINT_SHARE` of the time since. Where the loss or a weight is not
    finite, the training ends and the checkpoint before it is kept: a resumed training diverges
    again, and the broken weights are never taken for finished ones.

    Parameters
    ----------
    path
        File of the checkpoint, replaced each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = -math.inf
        self.cost_s = 0.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a checkpoint if it is due; the first process decides for all of them."""
        if not has_finite_state(trainer, pl_module):
            trainer.should_stop = True
            return
        elapsed = time.monotonic() - self.written
        is_due = elapsed >= self.cost_s / CHECKPOINT_SHARE
        is_last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop
        if trainer.strategy.broadcast(is_due or is_last):
            start = time.monotonic()
            # Lightning writes to the folder for temporary files, and copies where that is another
            # file system: only a rename puts the whole file in place.
            part = self.path.with_name(f".{self.path.name}.part")
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                part.replace(self.path)
            self.written = time.monotonic()
            self.cost_s = self.written - start


def has_finite_state(trainer: pl.Trainer, module: pl.LightningModule) -> bool:
    """Return whether the last loss and all weights of a training are finite."""
    loss = float(trainer.callback_metrics.get("train/loss", 0.0))
    return math.isfinite(loss) and all(bool(w.isfinite().all()) for w in module.parameters())


def weights_of(module: pl.LightningModule) -> dict[str, Tensor]:
    """Return a copy of the network's weights on the CPU."""
    state = module.state_dict()
    return {k.removeprefix("network."): v.detach().cpu().clone() for k, v in state.items()}
