"""Whole clips through a network: what it estimates of each target, in separation and on dev."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench import stft
from bench.track import TARGETS
from bench.training.objective import TINY
from bench.training.settings import TrainingSettings

#: Least energy that noise or error count with, as a fraction of the mixture's energy.
LEAST = 1e-9


@torch.no_grad()
def clip_estimates(settings: TrainingSettings, network: Any, magnitudes: Tensor) -> Tensor:
    """Return the magnitude that a network estimates of each target, over whole clips.

    A network of one output estimates the first target; the other is what that leaves of the
    mixture, no less than 0 (the authors subtract a magnitude from a complex spectrum here).

    Parameters
    ----------
    settings
        Hyperparameters and declarations of the network.
    network
        The trained network.
    magnitudes
        Magnitudes of the mixture, ``(clips, bins, frames)``.

    Returns
    -------
    Tensor
        ``(clips, targets, bins, frames)``.
    """
    x = magnitudes.transpose(1, 2)
    estimates = settings.masked(clip_outputs(settings, network, x), x).abs()
    if estimates.shape[2] < len(TARGETS):
        rest = (x.unsqueeze(2) - estimates).clamp(min=0)
        estimates = torch.cat([estimates, rest], dim=2)
    return estimates.permute(0, 2, 3, 1)


def clip_outputs(settings: TrainingSettings, network: Any, x: Tensor) -> Tensor:
    """Return the raw outputs over whole clips, in segments as long as the network's memory asks.

    The segments of a network that remembers the past overlap: its state starts at 0 every `frames`
    frames, as in training, and runs for as many frames before its output counts. Each frame but the
    first few thus depends on between `frames` and twice `frames` frames of the past. A state that
    runs on through a clip can grow without bound, since rectified units have none and training
    never saw it run longer.

    Parameters
    ----------
    settings
        Hyperparameters and declarations of the network.
    network
        The network.
    x
        Magnitudes of the mixture, ``(clips, frames, bins)``.

    Returns
    -------
    Tensor
        ``(clips, frames, outputs, bins)``.
    """
    n_frames, frames, memory = x.shape[1], settings.frames, settings.memory()
    if memory == "sequence":
        outputs = _segment_outputs(settings, network, x, frames, frames)
        return outputs.flatten(1, 2)[:, :n_frames]
    if memory == "past" and n_frames > 2 * frames:
        outputs = _segment_outputs(settings, network, x, 2 * frames, frames)
        first, rest = outputs[:, 0, :frames], outputs[:, :, frames:].flatten(1, 2)
        return torch.cat([first, rest], dim=1)[:, :n_frames]
    context, multiple = settings.context_frames(), settings.frame_multiple()
    missing = -(n_frames + 2 * context) % multiple
    return settings.raw_outputs(network, _with_edges(x, context, missing))[:, :n_frames]


def _segment_outputs(
    settings: TrainingSettings, network: Any, x: Tensor, length: int, step: int
) -> Tensor:
    """Return the outputs of segments of `length` frames that begin every `step` frames.

    Returns
    -------
    Tensor
        ``(clips, segments, length, outputs, bins)``. The last segment ends at the end of the
        clip or after it.
    """
    n_clips, n_frames, _ = x.shape
    n_segments = max(-(-(n_frames - length) // step), 0) + 1
    padded = _with_edges(x, settings.context_frames(), 0)
    padded = pad(padded, (0, 0, 0, (n_segments - 1) * step + length - n_frames))
    segments = padded.unfold(1, length + 2 * settings.context_frames(), step)
    batches = torch.split(segments.transpose(2, 3).flatten(0, 1), settings.batch_size)
    outputs = torch.cat([settings.raw_outputs(network, batch) for batch in batches])
    return outputs.reshape(n_clips, n_segments, *outputs.shape[1:])


def _with_edges(x: Tensor, context: int, missing: int) -> Tensor:
    """Return clips with their first and last frame repeated `context` times.

    `missing` more repetitions follow at the end.
    """
    if context == missing == 0:
        return x
    last = x.shape[1] - 1
    steps = torch.arange(-context, last + 1 + context + missing, device=x.device)
    return x[:, steps.clamp(0, last)]


def improvement(settings: TrainingSettings, network: Any, sources: Tensor) -> Tensor:
    """Return the gain in signal-to-noise ratio of the voice over the mixture, in dB.

    Noise and error count as no less than `LEAST` times the mixture's energy, so that it is finite
    for a clip without accompaniment, and 0 for silence.

    Parameters
    ----------
    settings
        Hyperparameters and declarations of the network.
    network
        The network, on the device of `sources`.
    sources
        References, ``(targets, samples)``.

    Returns
    -------
    Tensor
        A scalar.
    """
    mixture = sources.sum(0, keepdim=True)
    spectrogram = stft.forward(mixture, settings.n_fft, settings.hop)
    magnitudes = spectrogram.abs()
    voice = clip_estimates(settings, network, magnitudes)[:, TARGETS.index("vocals")]
    share = voice / magnitudes.clamp(min=TINY)
    estimate = stft.inverse(share * spectrogram, mixture.shape[1], settings.n_fft, settings.hop)
    reference = sources[TARGETS.index("vocals")]
    least = (LEAST * mixture.square().sum()).clamp(min=TINY)
    noise = (mixture[0] - reference).square().sum().clamp(min=least)
    return 10 * torch.log10(noise / (estimate[0] - reference).square().sum().clamp(min=least))
