"""Whole clips through a network: what it estimates of each target, in separation and on dev."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from baselines.networks.drnn.network import DRNNNetwork
from bench import stft
from bench.track import TARGETS

#: Keeps a share defined in a bin that is silent.
TINY = 1e-12


@torch.no_grad()
def clip_estimates(network: DRNNNetwork, magnitudes: Tensor, frames: int) -> Tensor:
    """Return the magnitude that a network estimates of each target, over whole clips.

    A network of one output estimates the first target; the other is what that leaves of the
    mixture, no less than 0 (the authors subtract a magnitude from a complex spectrum here).

    Parameters
    ----------
    network
        Trained.
    magnitudes
        Of the mixture, ``(clips, bins, frames)``.
    frames
        Frames of a training sequence, see `clip_outputs`.

    Returns
    -------
    Tensor
        ``(clips, targets, bins, frames)``.
    """
    x = magnitudes.transpose(1, 2)
    outputs = clip_outputs(network, network.features(x), frames)
    estimates = network.masked(outputs, x).abs()
    if network.n_outputs < len(TARGETS):
        rest = (x.unsqueeze(2) - estimates).clamp(min=0)
        estimates = torch.cat([estimates, rest], dim=2)
    return estimates.permute(0, 2, 3, 1)


def clip_outputs(network: DRNNNetwork, inputs: Tensor, frames: int) -> Tensor:
    """Return the raw outputs over whole clips.

    The state starts at 0 every `frames` frames, as in training, and runs for as many frames
    before its output counts: each frame but the first few hears between `frames` and twice
    `frames` frames of the past. A state that runs on through a clip can grow without bound,
    since rectified units have none and training never saw it run longer.

    Parameters
    ----------
    inputs
        ``(clips, frames, n_inputs)``.
    frames
        Frames of a training sequence.

    Returns
    -------
    Tensor
        ``(clips, frames, n_outputs, bins)``.
    """
    n_clips, n_frames, _ = inputs.shape
    if n_frames <= 2 * frames or not network.is_recurrent:
        return network.outputs(inputs)
    n_runs = -(-n_frames // frames) - 1
    padded = pad(inputs, (0, 0, 0, (n_runs + 1) * frames - n_frames))
    runs = padded.unfold(1, 2 * frames, frames).transpose(2, 3).flatten(0, 1)
    outputs = network.outputs(runs)
    outputs = outputs.reshape(n_clips, n_runs, *outputs.shape[1:])
    first, rest = outputs[:, 0, :frames], outputs[:, :, frames:].flatten(1, 2)
    return torch.cat([first, rest], dim=1)[:, :n_frames]


def improvement(network: DRNNNetwork, sources: Tensor, n_fft: int, hop: int, frames: int) -> Tensor:
    """Return the gain in signal-to-noise ratio of the voice over the mixture, in dB.

    Parameters
    ----------
    network
        In use on the device of `sources`.
    sources
        References ``(targets, samples)``.
    n_fft, hop
        The transform.
    frames
        Frames of a training sequence.
    """
    mixture = sources.sum(0, keepdim=True)
    spectrogram = stft.forward(mixture, n_fft, hop)
    magnitudes = spectrogram.abs()
    voice = clip_estimates(network, magnitudes, frames)[:, TARGETS.index("vocals")]
    share = voice / magnitudes.clamp(min=TINY)
    estimate = stft.inverse(share * spectrogram, mixture.shape[1], n_fft, hop)
    reference = sources[TARGETS.index("vocals")]
    noise = (mixture[0] - reference).square().sum()
    return 10 * torch.log10(noise / (estimate[0] - reference).square().sum())
