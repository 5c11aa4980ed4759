"""The energies of version 4, window by window: in the frequency domain, by Parseval's theorem."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.scoring.bss_eval.projection import fast_length

#: Numbers in the largest array of a step over windows: 64 MiB of complex values.
_WINDOWS = 1 << 22
#: Bins that are multiplied with the filters at a time, few enough to stay in the cache.
BINS = 512


def energies(
    references: Tensor, estimates: Tensor, whole: Tensor, own: Tensor, window: int, hop: int
) -> Tensor:
    """Return the energies of the parts of each estimate in each window.

    With s the reference and e its estimate, and their filtered references p (its own) and q (all),
    these are |s|^2, |e - s|^2, |p - s|^2, |q - p|^2, |e - q|^2, |p|^2, |q|^2 and |e|^2.

    Parameters
    ----------
    references, estimates
        ``(target, channels, samples)`` each.
    whole, own
        The filters of q and p, ``(tap, row, estimate, channel)``; in `own`, those of other rows
        are 0.
    window, hop
        In samples; a window longer than the track is the track.

    Returns
    -------
    Tensor
        ``(8, target, window)``.
    """
    length = min(window, references.shape[-1])
    n_fft = fast_length(length + len(whole) - 1)
    # (bin, row, estimate * channel)
    hats = [torch.fft.rfft(f, n_fft, dim=0).flatten(2, 3).contiguous() for f in (whole, own)]
    # (target, channel, window, sample)
    s, e = (x.unfold(-1, length, hop) for x in (references, estimates))
    step = max(1, _WINDOWS // (8 * n_fft * whole.shape[1]))
    parts = [
        _some_energies(s[:, :, i : i + step], e[:, :, i : i + step], n_fft, *hats)
        for i in range(0, s.shape[2], step)
    ]
    return torch.cat(parts, dim=-1)


def _some_energies(s: Tensor, e: Tensor, n_fft: int, whole_hat: Tensor, own_hat: Tensor) -> Tensor:
    """Return the energies of a few windows ``(target, channel, window, sample)``."""
    s, e = s.double(), e.double()
    n_targets, n_channels, n_windows, _ = s.shape
    plain = [x.square().sum((1, 3)) for x in (s, e - s, e)]
    # Each bin but the first, and the last of an even length, stands for two.
    weight = torch.full((n_fft // 2 + 1,), 2.0 / n_fft, dtype=s.dtype, device=s.device)
    weight[0] /= 2
    if n_fft % 2 == 0:
        weight[-1] /= 2
    # (bin, window, row): the matrix products below are over rows.
    s_hat, e_hat = (torch.fft.rfft(x.flatten(0, 1), n_fft).permute(2, 1, 0) for x in (s, e))
    total = torch.zeros(5, n_windows, n_targets, dtype=s.dtype, device=s.device)
    for i in range(0, len(weight), BINS):
        part = slice(i, i + BINS)
        reference, estimate = (x[part].contiguous() for x in (s_hat, e_hat))
        q = reference @ whole_hat[part]
        # Reference j reaches estimate j alone: the other rows of its filters are 0.
        p = reference @ own_hat[part]
        for k, x in enumerate((p - reference, q - p, estimate - q, p, q)):
            squares = weight[part] @ torch.view_as_real(x).square_().flatten(1)
            total[k] += squares.reshape(n_windows, n_targets, 2 * n_channels).sum(-1)
    return torch.stack([*plain[:2], *total.transpose(-1, -2), plain[2]])
