"""A training from start to end: taken up after a crash, watched, and its weights chosen."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import Callback, EarlyStopping
from torch import Tensor
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import BenchError, exception_text
from bench.methods.context import FitContext
from bench.training.callbacks import (
    BestWeights,
    History,
    PeriodicCheckpoint,
    ProgressCallback,
    SyncCheck,
    WeightAverage,
    has_finite_state,
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
        Context of the training. Where it has a folder, checkpoints are kept there, and a
        training resumes from an earlier one. A damaged checkpoint is set aside, and the training
        begins again.
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
        The loss or a weight is not finite, or several devices are asked for where the training runs
        on one alone.
    """
    best, average = BestWeights(), WeightAverage(module.settings.average)
    with tempfile.TemporaryDirectory() as scratch:
        last = (context.folder or Path(scratch)) / "checkpoints" / "last.ckpt"
        selects = bool(module.dev) and module.settings.select == "best"
        checkpoint = _read(last, context.owns_folder)
        history = checkpoint.get("callbacks", {}).get(History.__qualname__, {})
        context.resume_after(history.get("seconds", 0.0))
        module.earlier_precisions = history.get("precisions", [])
        if _has_stopped(checkpoint):
            return _weights_in(checkpoint)
        resumed = last if checkpoint else None
        del checkpoint  # the trainer reads it anew; it would take its memory until the end
        callbacks = _callbacks(module, context, best if selects else None, average)
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
                sync_batchnorm=_has_batch_norm(module) and device == "cuda",
                **context.trainer_options,
            )
            _check_devices(trainer, module, device)
            _fit(trainer, module, context, resumed)
        if trainer.node_rank > 0:
            return weights_of(module)  # the first host has the best ones, and the checkpoint
        weights = best.weights or average.state_dict()["weights"]
        if trainer.world_size > 1:  # other processes have trained
            weights = weights or _weights_in(_read(last, context.owns_folder))
    weights = weights or weights_of(module)
    if not has_finite_state(trainer, module):
        remedy = "; lower learning_rate" if module.settings.recipe == "adam" else ""
        raise BenchError(f"training diverged: its loss or its weights are not finite{remedy}")
    return weights


def _callbacks(
    module: TrainingModule, context: FitContext, best: BestWeights | None, average: WeightAverage
) -> list[Callback]:
    """Return what goes along with a training, in its order, but for the checkpoints.

    `best` is None for a training that keeps its last weights.
    """
    callbacks: list[Callback] = [ProgressCallback(context), History(), SyncCheck()]
    callbacks += [best] if best else []
    callbacks += [average] if module.settings.average else []
    if best and module.automatic_optimization:
        callbacks.append(EarlyStopping(DEV_METRIC, patience=module.settings.patience, mode="max"))
    return callbacks


def _has_batch_norm(module: TrainingModule) -> bool:
    return any(isinstance(part, _BatchNorm) for part in module.network.modules())


def _check_devices(trainer: pl.Trainer, module: TrainingModule, device: str) -> None:
    """Refuse several devices where the training runs on one alone."""
    if trainer.world_size == 1:
        return
    if not module.automatic_optimization:
        raise BenchError("lbfgs trains on one device; leave out --trainer")
    if _has_batch_norm(module) and device != "cuda":
        raise BenchError(
            f"{type(module.settings).__name__} has batch normalisation, whose statistics "
            "processes share on GPUs alone; train it on one device: leave out --trainer"
        )


def _fit(
    trainer: pl.Trainer, module: TrainingModule, context: FitContext, resumed: Path | None
) -> None:
    """Run a training, from a checkpoint if one is given."""
    try:
        context.call_hosts()
        trainer.fit(module, ckpt_path=resumed, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from None
    except ProcessRaisedException as error:  # its text is the traceback of the process
        raise BenchError(_last_line(str(error))) from error


def _weights_in(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the best dev epoch from a checkpoint, or their average, or nothing."""
    state = checkpoint.get("callbacks", {})
    for callback in (BestWeights, WeightAverage):
        weights: dict[str, Tensor] | None = state.get(callback.__qualname__, {}).get("weights")
        if weights:
            return weights
    return {}


def _has_stopped(checkpoint: dict[str, Any]) -> bool:
    """Return whether a training had stopped early when it wrote a checkpoint.

    Lightning does not restore that, and would train on.
    """
    return any(
        name.startswith(EarlyStopping.__qualname__) and state["wait_count"] >= state["patience"]
        for name, state in checkpoint.get("callbacks", {}).items()
    )


def _read(checkpoint: Path, is_own: bool) -> dict[str, Any]:
    """Return a checkpoint; an empty mapping where there is none or it is damaged.

    If it `is_own`, a damaged file is renamed and a warning says so. A disk that cannot be read or
    too little memory does not make a checkpoint damaged.

    Raises
    ------
    OSError, MemoryError
        The file cannot be read now.
    """
    if not checkpoint.is_file():
        return {}
    try:
        content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with its content
        if is_own:
            aside = checkpoint.replace(checkpoint.with_suffix(".damaged"))
            print(
                f"bench: {checkpoint} is damaged ({exception_text(error)}): it is kept as "
                f"{aside.name}, and the training begins again",
                file=sys.stderr,
                flush=True,
            )
        return {}
    return content


def _last_line(text: str) -> str:
    r"""Return the last line of a traceback: what went wrong, a BenchError without its name.

    Examples
    --------
    >>> _last_line("Traceback\n  at 1\nbench.errors.BenchError: no space")
    'no space'
    """
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    return lines[-1].removeprefix(f"{BenchError.__module__}.{BenchError.__qualname__}: ")


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
