"""Training speed: frames a second, share of the machine's matrix-product rate, Lightning's cost.

    python tests/benchmarks/training.py [--avx2]

Writes ``reports/benchmarks/training_INSTRUCTIONS.md``, a file for each kind of processor: those
with the instructions ``amx_bf16`` or ``avx512_bf16``, and those with ``avx2`` at most, where
float32 alone is measured. ``--avx2`` holds the libraries of any processor to the instructions of
the last kind. The DNN and DRNN-2 are the paper's, 3 layers of 1,000; the third network is the U-Net
of `baselines.networks.unet`, trained by the same code. The clips are noise of MIR-1K's length,
since no time depends on what they hold. In each process, trainings in a bare loop (gather,
transform, forward, backward, clip, Adam) take turns with the suite's own in Lightning (the same
step, with its schedule, logging and checkpoints): bare, Lightning, Lightning, bare, so that a
process that slows with time slows both alike.

The speed of a shared machine changes from second to second by more than Lightning costs, so before
each step matrix products of the training's precision are timed, and the step's time is divided by
theirs. An epoch is its median step and the shortest change from one epoch to the next. Checkpoints
have a column of their own. Transforms, mask and optimiser take time and give no counted operation,
so the share has room for them.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from measure import heading, in_process, write
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from baselines.networks.drnn.network import DRNNNetwork
from baselines.networks.drnn.separator import DRNN
from baselines.networks.unet.separator import UNet
from bench.methods.context import FitContext
from bench.track import TARGETS, Track
from bench.training.callbacks import CHECKPOINT_SHARE
from bench.training.excerpts import BatchIndex
from bench.training.lightning import TrainingModule
from bench.training.network_separator import NetworkSeparator
from bench.training.precision import used_precision
from bench.training.trainer import train

N_CLIPS, CLIP_S, RATE = 171, 7.6, 16_000
EPOCHS = 2
#: Processes at once, one thread each: as a sweep on two cores runs.
WORKERS = 2
LABELS = ("DNN", "DRNN-2", "U-Net")
#: Sides of the square matrices of which the fastest gives the rate of products.
SIZES = (1000, 1500)
#: Environment that holds PyTorch's own code, MKL's products and oneDNN's convolutions to AVX2.
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


@dataclass(frozen=True)
class Case:
    """A network, and the precision of its layers."""

    label: str
    precision: str

    def method(self) -> NetworkSeparator:
        """Return the method, untrained."""
        values = {"precision": self.precision, "epochs": EPOCHS}
        if self.label == "U-Net":
            return UNet(**values)
        return DRNN(recurrent="none" if self.label == "DNN" else 2, **values)


@dataclass(frozen=True)
class Speed:
    """The speed of a training in one process.

    Attributes
    ----------
    bare, lightning
        Frames a second in a bare loop and in the suite's training, where matrix products run at the
        rate of `products`.
    products
        Operations a second of matrix products in the precision of the training: the median.
    per_frame
        Operations that training takes a frame.
    checkpoint_s
        Seconds that a checkpoint takes.
    """

    bare: float
    lightning: float
    products: float
    per_frame: float
    checkpoint_s: float


def operations(module: TrainingModule) -> float:
    """Return the floating-point operations that training takes a frame, of products alone.

    A weight of the DRNN costs a multiplication and an addition each in the estimate, in its own
    gradient and in that of its input; the first layer's input needs no gradient. PyTorch counts
    those of convolutions.
    """
    if isinstance(module.network, DRNNNetwork):
        weights = sum(p.numel() for p in module.network.parameters() if p.dim() == 2)
        return 6.0 * weights - 2.0 * module.network.hidden[0].weight.numel()
    generator = torch.Generator().manual_seed(0)
    batch = next(module.excerpts.epoch(generator, module.settings.batch_size))
    with FlopCounterMode(display=False) as counter:
        module.cost(batch)[0].backward()
    return counter.get_total_flops() / int(batch.n_frames.sum())


def clips() -> list[Track]:
    """Return noise, as many clips and about as many seconds as MIR-1K's training split."""
    rng = np.random.default_rng(0)
    n = int(CLIP_S * RATE)
    return [
        Track(f"noise {i}", RATE, {t: rng.standard_normal((1, n)) / n**0.5 for t in TARGETS})
        for i in range(N_CLIPS)
    ]


class Products:
    """Square matrix products of one precision, of the size that is fastest here."""

    def __init__(self, precision: str) -> None:
        self.seconds: list[float] = []
        self.n = max(SIZES, key=lambda n: n**3 / self._measured(n, precision, 10))
        self.precision = precision

    @staticmethod
    def _measured(n: int, precision: str, repeats: int) -> float:
        a = torch.rand(n, n).to(getattr(torch, precision))
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    def measure(self) -> None:
        """Add the seconds that a product takes now."""
        self.seconds.append(self._measured(self.n, self.precision, 3))

    def rate(self) -> float:
        """Return operations a second, the median of all measurements."""
        return float(2 * self.n**3 / np.median(self.seconds))


def bare_step(module: TrainingModule, optimizer: torch.optim.Optimizer, batch: BatchIndex) -> None:
    """Train on a batch without Lightning."""
    total, n_values = module.cost(batch)
    optimizer.zero_grad()
    (total / n_values).backward()
    torch.nn.utils.clip_grad_norm_(module.network.parameters(), module.settings.clip_norm)
    optimizer.step()


def bare_training(module: TrainingModule, epochs: int) -> None:
    """Train for some epochs without Lightning."""
    optimizer = torch.optim.Adam(module.network.parameters(), fused=True)
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(epoch)
        for batch in module.excerpts.epoch(generator, module.settings.batch_size):
            bare_step(module, optimizer, batch)


def lightning_training(module: TrainingModule) -> None:
    """Train as the suite does, with checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        context = FitContext()
        context.folder = Path(folder)
        train(module, context, "cpu")


class Clock:
    """Times the steps of a training by the products measured before and after each."""

    def __init__(self, n_steps: int, precision: str) -> None:
        self.n_steps = n_steps
        self.products = Products(precision)
        self.steps: list[float] = []
        self.changes: list[float] = []
        self.checkpoints: list[float] = []

    def checkpoint(self, save: Callable[..., None], *args: Any) -> None:
        """Save a checkpoint; the step does not count the time."""
        start = time.perf_counter()
        save(*args)
        self.checkpoints.append(time.perf_counter() - start)

    def now(self) -> float:
        """Return the time in seconds that went by outside of checkpoints."""
        return time.perf_counter() - sum(self.checkpoints)

    @contextlib.contextmanager
    def watching(self, module: TrainingModule) -> Iterator[None]:
        """Note the steps of a module for whole epochs."""
        begun, ended, cost = list[float](), list[float](), module.cost
        first = len(self.products.seconds)

        def timed(batch: BatchIndex, draw: int = 0) -> tuple[Tensor, int]:
            ended.append(self.now())
            self.products.measure()
            begun.append(self.now())
            return cost(batch, draw)

        module.cost = timed
        yield
        del module.cost
        product_s = np.array(self.products.seconds[first:])
        step_s = np.array(ended[1:]) - begun[:-1]
        for i, step in enumerate(step_s / (product_s[1:] + product_s[:-1]) * 2.0, start=1):
            (self.changes if i % self.n_steps == 0 else self.steps).append(float(step))

    def epoch_s(self) -> float:
        """Return the seconds of an epoch, where a product takes its median time."""
        products = (self.n_steps - 1) * float(np.median(self.steps)) + min(self.changes)
        return products * float(np.median(self.products.seconds))


def measure(case: Case) -> Speed:
    """Measure a case in this process."""
    torch.set_num_threads(1)
    method, tracks = case.method(), clips()
    module = method.module(tracks)
    bare_training(module, 1)
    n_steps = math.ceil(module.excerpts.n_sequences / method.batch_size)
    bare, lightning = (Clock(n_steps, case.precision) for _ in range(2))
    pl.Trainer.save_checkpoint = functools.partialmethod(
        lambda trainer, save, path: lightning.checkpoint(save, trainer, path),
        pl.Trainer.save_checkpoint,
    )
    frames = module.excerpts.n_sequences * module.excerpts.n_frames
    for clock in (bare, lightning, lightning, bare):
        module = method.module(tracks)
        with clock.watching(module):
            if clock is bare:
                bare_training(module, EPOCHS)
            else:
                lightning_training(module)
    rate = lightning.products.rate()
    return Speed(
        bare=frames / bare.epoch_s() * rate / bare.products.rate(),
        lightning=frames / lightning.epoch_s(),
        products=rate,
        per_frame=operations(module),
        checkpoint_s=min(lightning.checkpoints),
    )


def precisions() -> list[str]:
    """Return float32, and bfloat16 where this processor has instructions for it."""
    return list(dict.fromkeys(["float32", used_precision("auto", "cpu")]))


def instructions() -> str:
    """Return the fastest of the instructions for products that this processor has."""
    capabilities = torch.cpu.get_capabilities()
    names = ("amx_bf16", "avx512_bf16", "avx2")
    return next((name for name in names if capabilities.get(name)), capabilities["architecture"])


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--avx2", action="store_true", help="use no later instructions than AVX2")
    is_limited = parser.parse_args().avx2
    kind, used, limit = instructions(), precisions(), ""
    if is_limited:
        os.environ.update(AVX2)  # read by the processes that measure, when they start
        limit = f" The libraries were held to AVX2; the processor has {kind}."
        kind, used = "avx2", ["float32"]
    out = [
        "# Training: speed, and what Lightning costs",
        "",
        f"{heading()}{limit} "
        "DNN and DRNN-2 have three layers of 1,000 units and batches of 32 sequences of "
        "50 frames; the convolutional network three layers of 32 channels and batches of 4. The "
        "share is that of the operations of the network's products in the rate of matrix products "
        "of the same precision, measured before each step. Two workers train at once, as a "
        "sweep on two cores does; rates and frames a second are of both together. A training "
        f"writes checkpoints as often as they take {CHECKPOINT_SHARE:.0%} of its time.",
        "",
        "| network | precision | products (GFLOP/s) | frames a second | share | "
        "Lightning over the bare loop | a checkpoint |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for case in itertools.starmap(Case, itertools.product(LABELS, used)):
        speeds = in_process(measure, case, WORKERS)
        products = sum(s.products for s in speeds)
        frames = sum(s.lightning for s in speeds)
        cost = sum(s.bare for s in speeds) / frames - 1
        share = frames * speeds[0].per_frame / products
        checkpoint_s = max(s.checkpoint_s for s in speeds)
        out.append(
            f"| {case.label} | {case.precision} | {products / 1e9:.0f} | {frames:,.0f} "
            f"| {share:.0%} | {cost:+.1%} | {checkpoint_s * 1000:.0f} ms |"
        )
        print(out[-1], flush=True)
    write(f"training_{kind}", out)


if __name__ == "__main__":
    main()
