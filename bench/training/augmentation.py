"""Random changes of training sequences: gains, polarity, hidden bins, copies at another pitch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.track import TARGETS

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Changes of a training sequence, drawn anew for each; none by default.

    Attributes
    ----------
    gain_db
        Largest gain of a target in dB, up or down.
    polarity
        Whether the polarity of each target is drawn: magnitudes of a sum depend on it.
    spectral_mask
        Largest fraction of the bins, side by side, that the network does not see.
    pitch_semitones, tempo_change
        Copies of each clip from which sequences are drawn too; see
        `bench.training.altered_copies.alterations`.
    """

    gain_db: float = 0.0
    polarity: bool = False
    spectral_mask: float = 0.0
    pitch_semitones: float = 0.0
    tempo_change: float = 0.0

    @property
    def has_copies(self) -> bool:
        """Whether there are copies of the clips at another pitch or tempo."""
        return bool(self.pitch_semitones or self.tempo_change)

    def gains(self, n: int, generator: torch.Generator) -> Tensor:
        """Return a factor for each target of `n` sequences, ``(n, targets)``."""
        import torch

        gain = torch.ones(n, len(TARGETS))
        if self.gain_db:
            decibels = (2 * torch.rand(gain.shape, generator=generator) - 1) * self.gain_db
            gain = 10 ** (decibels / 20)
        if self.polarity:
            gain = gain * (2 * torch.randint(2, gain.shape, generator=generator) - 1)
        return gain

    def hidden_bins(self, n: int, n_bins: int, generator: torch.Generator) -> Tensor:
        """Return the first bin hidden in each of `n` sequences and that after the last, (n, 2)."""
        import torch

        if not self.spectral_mask:
            return torch.zeros(n, 2, dtype=torch.long)
        fraction, position = torch.rand(2, n, generator=generator)
        width = (fraction * self.spectral_mask * n_bins).round()
        first = (position * (n_bins - width)).floor()
        return torch.stack([first, first + width], dim=1).long()


NO_AUGMENTATION = Augmentation()


def with_hidden_bins(mixture: Tensor, hidden: Tensor) -> Tensor:
    """Return magnitudes ``(sequence, frame, bins)`` with 0 in the bins that are hidden.

    Parameters
    ----------
    mixture
        Magnitudes of the mixture.
    hidden
        First bin hidden in each sequence and the bin after the last, ``(sequences, 2)``.
    """
    import torch

    bins = torch.arange(mixture.shape[-1])
    is_hidden = (bins >= hidden[:, :1]) & (bins < hidden[:, 1:])
    return mixture.masked_fill(is_hidden.to(mixture.device).unsqueeze(1), 0.0)
