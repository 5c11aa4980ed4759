"""The bidirectional LSTM as a method: each frame is judged by what comes before and after it.

Idea: dense layers describe a frame, LSTMs carry what sounds before and after it, and dense layers
make a magnitude of each target from both. It separates voices because a held or repeated sound is
recognised over many frames.

Differences from the papers: one network for both targets with the masking layer of Huang et al., in
place of one network a target whose output multiplies the mixture; the objective, the optimiser and
the pairing of voices with accompaniments are those of all networks here; all bins up to half the
rate in place of those below 16 kHz of 44.1; no Wiener filter afterwards; shorter trained.

References
----------
Uhlich, Porcu, Giron, Enenkl, Kemp, Takahashi, Mitsufuji: Improving Music Source Separation Based on
Deep Neural Networks through Data Augmentation and Network Blending, ICASSP 2017.
Stöter, Uhlich, Liutkus, Mitsufuji: Open-Unmix, Journal of Open Source Software 4(41), 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bench.errors import BenchError
from bench.methods.separator import separator
from bench.training.network_separator import NetworkSeparator

if TYPE_CHECKING:
    from baselines.networks.blstm.network import BLSTMNetwork
    from bench.training.excerpts import TrainingExcerpts


@separator
class BLSTM(NetworkSeparator):
    """Dense layers, a bidirectional LSTM, dense layers.

    The fields that it shares with every network are those of `NetworkSeparator`.

    Parameters
    ----------
    hidden
        Units of a dense layer, and of both directions of an LSTM together; even.
    layers
        Layers of LSTM.
    dropout
        Fraction of the units between layers of LSTM that are left out in training.
    """

    VERSION: ClassVar[int] = 2

    hidden: int = Field(512, ge=2)
    layers: int = Field(3, ge=1)
    dropout: float = Field(0.4, ge=0, lt=1)
    frames: int = Field(96, ge=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % 2:
            raise BenchError(f"hidden must be even, half of it a direction, not {self.hidden}")

    def network(self, n_bins: int, rate: int) -> BLSTMNetwork:
        """Return a network of these hyperparameters."""
        from baselines.networks.blstm.network import BLSTMNetwork

        return BLSTMNetwork(n_bins, self.hidden, self.layers, self.dropout)

    def prepare(self, network: BLSTMNetwork, excerpts: TrainingExcerpts) -> None:
        """Fit the normalisation of the bins to the training clips."""
        network.fit_normalisation(excerpts.clip_magnitudes())

    def context_frames(self) -> int:
        """Return the number of frames on each side of a sequence that are seen and not judged."""
        return 16
