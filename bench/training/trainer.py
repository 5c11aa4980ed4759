"""A training from start to end: taken up after a crash, watched, and its weights chosen."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor

from bench.errors import BenchError
from bench.methods.context import FitContext
from bench.training.callbacks import (
    BestWeights,
    PeriodicCheckpoint,
    ProgressCallback,
    SyncCheck,
    WeightAverage,
    weights_of,
)
from bench.training.lightning import DEV_METRIC, TrainingModule


def train(module: TrainingModule, context: FitContext, device: str) -> dict[str, Tensor]:
    """Train to the end, or on from the last checkpoint, and return the chosen weights.

    Parameters
    ----------
    module
        A training that has not begun.
    context
        Surroundings of the training. Where it has a folder, checkpoints are kept there, and a
        training resumes from an earlier one. A checkpoint that cannot be read is removed, and the
        training begins again.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict
        The weights of the best dev epoch; of the last where there is no dev clip, or where
        `TrainingSettings.select` says so.

    Raises
    ------
    BenchError
        The loss is not finite any more.
    """
    best, average = BestWeights(), WeightAverage(module.settings.average)
    with tempfile.TemporaryDirectory() as scratch:
        last = (context.folder or Path(scratch)) / "checkpoints" / "last.ckpt"
        selects = bool(module.dev) and module.settings.select == "best"
        callbacks: list[Callback] = [ProgressCallback(context), SyncCheck()]
        callbacks += [best] if selects else []
        callbacks += [average] if module.settings.average else []
        if selects and module.automatic_optimization:
            callbacks.append(
                EarlyStopping(DEV_METRIC, patience=module.settings.patience, mode="max")
            )
        with warnings.catch_warnings():
            # The loader is a plain iterable by design: batches are drawn, not read.
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            # The runner submits the jobs of a SLURM cluster: srun on the path means nothing here.
            warnings.filterwarnings("ignore", message="The `srun` command")
            trainer = _quiet_trainer(
                max_epochs=module.settings.epochs,
                accelerator="gpu" if device == "cuda" else "cpu",
                callbacks=[*callbacks, PeriodicCheckpoint(last)],
                gradient_clip_val=module.clip_norm,
                **context.trainer_options,
            )
            if trainer.world_size > 1 and not module.automatic_optimization:
                raise BenchError("lbfgs trains on one device; leave out --trainer")
            try:
                checkpoint = last if _is_readable(last) else None
                context.call_hosts()
                trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
            except SystemExit:  # what Lightning makes of Ctrl-C
                raise KeyboardInterrupt from None
        if trainer.node_rank > 0:
            return weights_of(module)  # the first host has the best ones, and the checkpoint
        weights = best.weights or average.state_dict()["weights"]
        if trainer.world_size > 1:  # other processes have trained
            weights = weights or _kept_in(last)
    weights = weights or weights_of(module)
    finite = all(bool(torch.isfinite(w).all()) for w in weights.values())
    if not finite or not math.isfinite(float(trainer.callback_metrics.get("train/loss", 0.0))):
        raise BenchError("training diverged: the loss is not finite; lower learning_rate")
    return weights


def _kept_in(checkpoint: Path) -> dict[str, Tensor]:
    """Return the weights of the best dev epoch from a checkpoint, or their average, or nothing."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    for callback in (BestWeights, WeightAverage):
        weights: dict[str, Tensor] | None = state.get(callback.__qualname__, {}).get("weights")
        if weights:
            return weights
    return {}


def _is_readable(checkpoint: Path) -> bool:
    """Return whether a checkpoint exists and is whole; a damaged one is removed."""
    if not checkpoint.is_file():
        return False
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is of no use
        checkpoint.unlink(missing_ok=True)
        return False
    return True


def _quiet_trainer(**options: Any) -> pl.Trainer:
    """Return a Trainer that prints nothing and keeps no log, on one device by default.

    It looks for no cluster around it: the runner says which hosts and devices take part.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return pl.Trainer(
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=True,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        deterministic=True,
        plugins=[LightningEnvironment()],
        **{"devices": 1, **options},
    )
