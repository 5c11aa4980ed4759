"""The only transform: a short-time Fourier transform that gives back every sample.

Analysis and synthesis both use the sine window ``w[n] = sin(pi n / n_fft)`` (the square root
of a periodic Hann window), so ``sum_k w[n - k hop]^2 = n_fft / (2 hop)`` for every hop that
divides ``n_fft / 2``, and the inverse is exact. A method may ask for the periodic Hann window
``w[n] = sin(pi n / n_fft)^2`` instead, in both; then ``sum_k w[n - k hop]^2 = 3 n_fft / (8 hop)``
for every hop that divides ``n_fft / 4``. The signal is padded with zeros so that each
sample lies under the full number of windows. The released code of Huang et al. does not pad:
it drops the last partial frame and lets the first and last half window fade.

PyTorch computes it and is imported when a transform is first made: commands that only name methods
start without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

if TYPE_CHECKING:
    from torch import Tensor

#: Names of the windows.
WindowName = Literal["sine", "hann"]


def check_settings(n_fft: int, hop: int, window_name: WindowName = "sine") -> None:
    """Refuse settings under which the transform could not be inverted.

    Raises
    ------
    BenchError
        `n_fft` is odd or below 4, or `hop` does not divide half of it, under a Hann window a
        quarter.
    """
    if n_fft < 4 or n_fft % 2:
        raise BenchError(f"n_fft must be an even number of samples, at least 4, not {n_fft}")
    if hop < 1 or (n_fft // 2) % hop:
        raise BenchError(f"hop must divide n_fft / 2 = {n_fft // 2} samples, and {hop} does not")
    if window_name == "hann" and n_fft % (4 * hop):
        raise BenchError(
            f"under a Hann window hop must divide n_fft / 4 = {n_fft / 4:g} samples, and {hop} "
            "does not"
        )


def from_seconds(window_s: float, hop_s: float, rate: int) -> tuple[int, int]:
    """Return window and hop in samples, the nearest that have an inverse.

    The hop comes first, then the even multiple of it that is nearest to the window.

    Parameters
    ----------
    window_s, hop_s
        In seconds.
    rate
        In hertz.

    Examples
    --------
    >>> from_seconds(0.064, 0.032, 16_000), from_seconds(0.064, 0.016, 44_100)
    ((1024, 512), (2824, 706))
    """
    hop = max(1, round(hop_s * rate))
    n_fft = 2 * hop * max(1, round(window_s * rate / (2 * hop)))
    return max(4, n_fft), hop


def window(n_fft: int, name: WindowName = "sine") -> Tensor:
    """Return the window of `n_fft` samples, float64."""
    import torch

    sine = torch.sin(math.pi / n_fft * torch.arange(n_fft, dtype=torch.float64))
    return sine if name == "sine" else sine.square()


def n_frames(n_samples: int, n_fft: int, hop: int) -> int:
    """Return how many frames `forward` makes of `n_samples` samples."""
    return (n_fft - hop + n_samples - 1) // hop + 1


def lead(n_fft: int, hop: int) -> int:
    """Return how many frames of `forward` have their centre before the first sample.

    The centre of frame ``k`` is sample ``(k - lead) hop``.

    Examples
    --------
    >>> lead(n_fft=1024, hop=512), lead(n_fft=1024, hop=256)
    (0, 1)
    """
    return n_fft // (2 * hop) - 1


def centres(n: int, n_fft: int, hop: int) -> NDArray[np.int64]:
    """Return the sample at the centre of each of `n` frames; those before the audio are negative.

    Examples
    --------
    >>> centres(3, n_fft=1024, hop=256).tolist()
    [-256, 0, 256]
    """
    return (np.arange(n) - lead(n_fft, hop)) * hop


@overload
def forward(
    audio: NDArray[Any], n_fft: int = 1024, hop: int = 512, window_name: WindowName = "sine"
) -> NDArray[Any]: ...
@overload
def forward(
    audio: Tensor, n_fft: int = 1024, hop: int = 512, window_name: WindowName = "sine"
) -> Tensor: ...
def forward(
    audio: NDArray[Any] | Tensor,
    n_fft: int = 1024,
    hop: int = 512,
    window_name: WindowName = "sine",
) -> Any:
    """Transform audio, padded so that `inverse` gives back every sample.

    Parameters
    ----------
    audio
        ``(channels, samples)``, NumPy or PyTorch, any device and float precision.
    n_fft, hop
        Window length and step in samples.
    window_name
        ``sine`` or ``hann``.

    Returns
    -------
    array
        Complex spectrogram ``(channels, n_fft // 2 + 1, frames)`` of the same kind.

    Raises
    ------
    BenchError
        The settings have no inverse.

    Examples
    --------
    >>> forward(np.ones((2, 4096)), n_fft=1024, hop=512).shape
    (2, 513, 9)
    """
    import torch

    check_settings(n_fft, hop, window_name)
    if isinstance(audio, np.ndarray):
        return forward(as_tensor(audio), n_fft, hop, window_name).numpy()
    left = n_fft - hop
    total = (n_frames(audio.shape[-1], n_fft, hop) - 1) * hop + n_fft
    padded = torch.nn.functional.pad(audio, (left, total - left - audio.shape[-1]))
    return forward_unpadded(padded, n_fft, hop, window_name)


def forward_unpadded(
    audio: Tensor, n_fft: int, hop: int, window_name: WindowName = "sine"
) -> Tensor:
    """Transform the whole frames that lie inside `audio` ``(channels, samples)``."""
    import torch

    w = window(n_fft, window_name).to(audio)
    return torch.stft(audio, n_fft, hop, window=w, center=False, return_complex=True)


@overload
def inverse(
    spectrogram: NDArray[Any],
    n_samples: int,
    n_fft: int = 1024,
    hop: int = 512,
    window_name: WindowName = "sine",
) -> NDArray[Any]: ...
@overload
def inverse(
    spectrogram: Tensor,
    n_samples: int,
    n_fft: int = 1024,
    hop: int = 512,
    window_name: WindowName = "sine",
) -> Tensor: ...
def inverse(
    spectrogram: NDArray[Any] | Tensor,
    n_samples: int,
    n_fft: int = 1024,
    hop: int = 512,
    window_name: WindowName = "sine",
) -> Any:
    """Give back the audio of a spectrogram made by `forward`.

    Parameters
    ----------
    spectrogram
        Complex ``(channels, n_fft // 2 + 1, frames)``, NumPy or PyTorch.
    n_samples
        Length of the audio that was transformed.
    n_fft, hop, window_name
        Window length and step in samples and the window, as `forward` takes them.

    Returns
    -------
    array
        ``(channels, n_samples)``.

    Raises
    ------
    BenchError
        The settings have no inverse.
    """
    import torch

    check_settings(n_fft, hop, window_name)
    if isinstance(spectrogram, np.ndarray):
        tensor = as_tensor(spectrogram)
        return inverse(tensor, n_samples, n_fft, hop, window_name).numpy()
    frames = torch.fft.irfft(spectrogram, n=n_fft, dim=-2)
    frames = frames * window(n_fft, window_name).to(frames)[:, None]
    total = (frames.shape[-1] - 1) * hop + n_fft
    added = torch.nn.functional.fold(frames, (1, total), (1, n_fft), stride=(1, hop))
    left = n_fft - hop
    mean_square = 1 / 2 if window_name == "sine" else 3 / 8
    return added[:, 0, 0, left : left + n_samples] * (hop / (mean_square * n_fft))


def mean_power(blocks: Iterable[NDArray[Any]], n_fft: int, hop: int) -> NDArray[Any]:
    """Return the mean of the squared magnitudes that `forward` makes of a song, read in blocks.

    Parameters
    ----------
    blocks
        Blocks of the song from its start to its end, ``(channels, samples)`` each.
    n_fft, hop
        Window length and step in samples, as `forward` takes them.

    Returns
    -------
    array
        ``(channels,)``.
    """
    import torch

    check_settings(n_fft, hop)
    left = n_fft - hop
    kept: Tensor | None = None
    total, n_seen, count = torch.zeros(1, dtype=torch.float64), 0, 0

    def add(padded: Tensor) -> Tensor:
        """Add the frames that lie whole in `padded`; return what is left of it."""
        nonlocal total, count
        frames = (padded.shape[1] - n_fft) // hop + 1
        if frames > 0:
            power = forward_unpadded(padded[:, : (frames - 1) * hop + n_fft], n_fft, hop)
            total = total + power.abs().square().mean(dim=1).sum(dim=1)
            count += frames
        return padded[:, max(frames, 0) * hop :]

    for block in blocks:
        tensor = as_tensor(block)
        n_seen += tensor.shape[1]
        start = tensor.new_zeros(len(tensor), left) if kept is None else kept
        kept = add(torch.cat([start, tensor], dim=1))
    if kept is not None:
        rest = (n_frames(n_seen, n_fft, hop) - count - 1) * hop + n_fft
        add(torch.nn.functional.pad(kept, (0, max(0, rest - kept.shape[1]))))
    mean: NDArray[Any] = (total / max(count, 1)).numpy()
    return mean


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Share an array's memory with PyTorch, or copy it where it is read-only or not contiguous."""
    import torch

    return torch.from_numpy(np.require(array, requirements=["W", "C"]))
