"""Convolutional networks: what their training reaches of the speed of their own convolutions.

    python tests/benchmarks/convolutions.py

Writes ``reports/benchmarks/convolutions.md``. For each network of ``experiments/networks.yaml``
that has convolutions: the convolutions of one batch alone, forward and backward, with channels last
in memory and with frames last, in float32 and where the processor has instructions for it in
bfloat16; then a whole step of training (gather, transform, forward, backward, clip, Adam). One
thread; the least time of several counts.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from measure import best, heading, in_process, write
from methods import networks
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from training import bare_step, clips, precisions

from baselines.networks.image_separator import ImageSeparator
from bench.methods import registry

LAYOUTS = {"channels last": torch.channels_last, "frames last": torch.contiguous_format}
N_CLIPS, REPEATS = 16, 5


def n_operations(work: Any) -> int:
    """Return the floating-point operations of the convolutions in a piece of work."""
    with FlopCounterMode(display=False) as counter:
        work()
    counts = counter.get_flop_counts()["Global"]
    return sum(n for operation, n in counts.items() if "convolution" in str(operation))


def passes(layers: list[tuple[nn.Module, torch.Size]], layout: Any, dtype: Any) -> Any:
    """Return a function that runs copies of layers forward and backward on noise."""
    torch.manual_seed(0)
    runs = []
    for layer, shape in layers:
        alone = copy.deepcopy(layer).to(dtype).to(memory_format=layout)
        image = torch.randn(shape).to(dtype).contiguous(memory_format=layout).requires_grad_()
        with torch.no_grad():
            upstream = torch.randn_like(alone(image))
        runs.append((alone, image, upstream))

    def work() -> None:
        for alone, image, upstream in runs:
            alone(image).backward(upstream)

    return work


def measure(case: tuple[str, str, dict[str, Any], str]) -> str:
    """Return the line of a network, by its label, method, values and precision."""
    torch.set_num_threads(1)
    label, name, values, precision = case
    method = registry.make(registry.find_method(name), {**values, "precision": precision}, name)
    module = method.module(clips()[:N_CLIPS])
    optimizer = torch.optim.Adam(module.network.parameters(), fused=True)
    batch = next(module.excerpts.epoch(torch.Generator().manual_seed(0), method.batch_size))
    step = functools.partial(bare_step, module, optimizer, batch)
    layers: list[tuple[nn.Module, torch.Size]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layers.append((layer, inputs[0].shape))

    convolutions = [
        part
        for part in module.network.modules()
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
    ]
    hooks = [part.register_forward_hook(note) for part in convolutions]
    n_of_step = n_operations(step)
    for hook in hooks:
        hook.remove()
    rates = []
    for layout in LAYOUTS.values():
        alone = passes(layers, layout, getattr(torch, precision))
        rates.append(n_operations(alone) / best(alone, REPEATS) / 1e9)
    trained = n_of_step / best(step, REPEATS) / 1e9
    cells = [f"{rate:.0f}" for rate in [*rates, trained]]
    return f"| {label} | {precision} | {' | '.join(cells)} | {trained / max(rates):.0%} |"


def main() -> None:
    """Measure, print and write the report."""
    out = [
        "# Convolutional networks: their training against their convolutions alone",
        "",
        f"{heading()} GFLOP/s of the convolutions of one batch, forward and backward: alone in two "
        "layouts of memory, and in a whole step of training, which also holds the transform, "
        "normalisations, dense layers, masks and Adam. The share is that of the step in the faster "
        "layout. The networks are those of `experiments/networks.yaml`, which keep channels last.",
        "",
        f"| network | precision | {' | '.join(f'alone, {name}' for name in LAYOUTS)} "
        "| step of training | share |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for precision in precisions():
        for case in networks("networks", ImageSeparator):
            out.append(in_process(measure, (*case, precision))[0])
            print(out[-1], flush=True)
    write("convolutions", out)


if __name__ == "__main__":
    main()
