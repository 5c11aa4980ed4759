"""A training in Lightning: what is told, kept, taken up after a crash, and chosen at its end."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor

from baselines.networks.drnn.module import DEV_METRIC, DRNNModule
from bench.errors import BenchError
from bench.methods.context import FitContext


class ProgressCallback(Callback):
    """Passes curves and progress on to the runner's log."""

    def __init__(self, context: FitContext) -> None:
        self.context = context

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the epoch's figures, once of all processes."""
        if not trainer.is_global_zero:
            return
        done = trainer.current_epoch + 1
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        values = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self.context.log_metrics(done, values | {"train/learning_rate": rate})
        self.context.report_progress(done, trainer.max_epochs or done)
        module = cast(DRNNModule, pl_module)
        if module.dev and done & (done - 1) == 0:  # 1, 2, 4, 8...: changes come early
            for name, seen in module.pictures().items():
                self.context.log_picture(done, name, seen)


class SyncCheck(Callback):
    """Sees that all processes of a training train the same, and lets them part together."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to go on where another host trains another model under the same address."""
        own = repr(cast(DRNNModule, pl_module).settings)
        if trainer.world_size > 1 and trainer.strategy.broadcast(own) != own:
            raise BenchError("the hosts train different cells; start the same command on each")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Wait for the others, and leave them: a process that just ends may abort on its way."""
        if trainer.world_size > 1 and torch.distributed.is_initialized():
            trainer.strategy.barrier()
            torch.distributed.destroy_process_group()


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


def train(module: DRNNModule, context: FitContext, device: str) -> dict[str, Tensor]:
    """Train to the end, or on from the last checkpoint, and return the chosen weights.

    Parameters
    ----------
    module
        A fresh module.
    context
        Surroundings of the training. Where it has a folder, a checkpoint is kept there, and an
        earlier one is continued. A checkpoint that cannot be read is dropped, and training begins
        again.
    device
        ``cpu`` or ``cuda``.

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
        folder = (context.folder or Path(scratch)) / "checkpoints"
        keeper = ModelCheckpoint(
            folder,
            filename="last",
            every_n_epochs=module.checkpoint_every,
            enable_version_counter=False,
        )
        callbacks: list[Callback] = [ProgressCallback(context), SyncCheck(), keeper]
        if module.dev:
            patience = module.settings.patience
            callbacks += [best, EarlyStopping(DEV_METRIC, patience=patience, mode="max")]
        trainer = quiet_trainer(
            max_epochs=module.settings.epochs,
            accelerator="gpu" if device == "cuda" else "cpu",
            callbacks=callbacks,
            gradient_clip_val=module.clip_norm,
            **context.trainer_options,
        )
        if trainer.world_size > 1 and not module.automatic_optimization:
            raise BenchError("lbfgs trains on one device; leave out --trainer")
        last = folder / "last.ckpt"
        with warnings.catch_warnings():
            # The loader is a plain iterable by design: batches are drawn, not read.
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            try:
                checkpoint = last if is_readable(last) else None
                context.call_hosts()
                trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
            except SystemExit:  # what Lightning makes of Ctrl-C
                raise KeyboardInterrupt from None
        if trainer.node_rank > 0:
            return weights_of(module)  # the first host has the best ones, and the checkpoint
        kept = best.weights or best_kept(last) if trainer.world_size > 1 else best.weights
    weights = kept or weights_of(module)
    finite = all(bool(torch.isfinite(w).all()) for w in weights.values())
    if not finite or not math.isfinite(float(trainer.callback_metrics.get("train/loss", 0.0))):
        raise BenchError("training diverged: the loss is not finite; lower learning_rate")
    return weights


def best_kept(checkpoint: Path) -> dict[str, Tensor] | None:
    """Return the weights of the best dev epoch from a checkpoint: other processes trained it."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    best: dict[str, Any] = state["callbacks"].get(BestWeights.__qualname__, {})
    return best.get("weights")


def is_readable(checkpoint: Path) -> bool:
    """Tell whether a checkpoint is there and whole; one that is damaged is removed."""
    if not checkpoint.is_file():
        return False
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is of no use
        checkpoint.unlink(missing_ok=True)
        return False
    return True


def quiet_trainer(**settings: Any) -> pl.Trainer:
    """Return a Trainer that prints nothing and keeps no log; on one device unless told so.

    It looks for no cluster around it: who works where is said by who runs it.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return pl.Trainer(
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        deterministic=True,
        plugins=[LightningEnvironment()],
        **{"devices": 1, **settings},
    )
