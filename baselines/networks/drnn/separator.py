"""The DRNN as a method: a mask predicted by a network that was trained through the mask.

Idea: a feed-forward or recurrent network sees three frames of the mixture's magnitude and gives
a magnitude for each target; a masking layer inside the network turns them into shares of the
mixture, so that training minimises the error of the masked result (TASLP eq. 3-11). It separates
voices because a voice's harmonics, formants and onsets look unlike those of its accompaniment,
and the recurrent layer carries what sounded before.

Differences from the paper: by default Adam on mini-batches, every voice over the accompaniment of
any training clip, drawn anew each epoch, the loss a mean over all values (``recipe: lbfgs``
with a fixed `shift` is the authors' full-batch L-BFGS on fixed mixtures, the loss a sum); the best
epoch by the voice's gain in signal-to-noise ratio on dev, where the paper takes GNSDR; every clip
is scaled to one level before the network, 100 times that of the paper's, which feeds raw magnitudes
of unit-norm clips, so that a louder mixture gives the same masks; sequences of 50 frames, where the
authors' have up to 100; in separation too the recurrent state starts anew every `frames` frames,
after a run-in of as many; the transform is padded and gives back every sample.

References
----------
Huang, Kim, Hasegawa-Johnson, Smaragdis: Singing-Voice Separation from Monaural Recordings using
Deep Recurrent Neural Networks, ISMIR 2014.
Huang, Kim, Hasegawa-Johnson, Smaragdis: Joint Optimization of Masks and Deep Recurrent Neural
Networks for Monaural Source Separation, IEEE/ACM TASLP 23(12), 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.errors import BenchError
from bench.methods.separator import separator
from bench.training.network_separator import NetworkSeparator
from bench.training.settings import Memory

if TYPE_CHECKING:
    from torch import Tensor

    from baselines.networks.drnn.network import DRNNNetwork
    from bench.training.excerpts import TrainingExcerpts


@separator
class DRNN(NetworkSeparator):
    """Deep recurrent network with the masking layer and the discriminative objective.

    The fields that it shares with every network are those of `NetworkSeparator`.

    Parameters
    ----------
    recurrent
        ``none``: DNN; k from 1: DRNN-k, layer k recurrent; ``all``: sRNN.
    gamma
        Weight of the discriminative term, from 0 (left out) to 1 (excluded).
    outputs
        2: a block of outputs for each target; 1: for the voice alone, without a masking layer.
    features
        Representation of a frame: ``magnitude``, ``log_power`` or ``log_mel``.
    context
        Frames in an input, odd.
    hidden
        Units of a hidden layer.
    layers
        Hidden layers.
    """

    VERSION: ClassVar[int] = 2
    ADDED: ClassVar[Mapping[str, Any]] = {**NetworkSeparator.ADDED, "select": "best"}

    recurrent: Literal["none", "all"] | int = 2
    gamma: float = Field(0.05, ge=0, lt=1)
    outputs: Literal[1, 2] = 2
    features: Literal["magnitude", "log_power", "log_mel"] = "magnitude"
    context: int = Field(3, ge=1)
    hidden: int = Field(1000, ge=1)
    layers: int = Field(3, ge=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.context % 2 == 0:
            raise BenchError(f"context must be an odd number of frames, not {self.context}")
        if isinstance(self.recurrent, int) and not 1 <= self.recurrent <= self.layers:
            raise BenchError(
                f"recurrent must be 'none', 'all' or a layer from 1 to {self.layers}, "
                f"not {self.recurrent}"
            )
        if self.outputs == 1 and self.mask != "none":
            raise BenchError(
                "a masking layer shares the mixture between two outputs: with "
                "outputs = 1 set mask to 'none'"
            )

    def network(self, n_bins: int, rate: int) -> DRNNNetwork:
        """Return a network of these hyperparameters, its weights not yet set."""
        from baselines.networks.drnn.network import DRNNNetwork

        return DRNNNetwork(
            n_bins,
            self.context,
            self.hidden,
            self.layers,
            self.recurrent,
            self.outputs,
            self.features,
            rate,
        )

    def prepare(self, network: DRNNNetwork, excerpts: TrainingExcerpts) -> None:
        """Draw the authors' start, and fit the normalisation of features to the training clips."""
        import torch

        network.initialise(torch.Generator().manual_seed(self.seed))
        if self.features != "magnitude":
            network.features.fit_normalisation(excerpts.clip_magnitudes())

    def context_frames(self) -> int:
        """Return the frames on each side that an input holds beside its own."""
        return self.context // 2

    def memory(self) -> Memory:
        """Return ``past`` for a network that recurs, else ``none``."""
        return "none" if self.recurrent == "none" else "past"

    def raw_outputs(self, network: DRNNNetwork, x: Tensor) -> Tensor:
        """Return the raw outputs; the recurrent state starts after the context of the first frame.

        See `TrainingSettings.raw_outputs`.
        """
        inputs = network.features(x)
        context = self.context_frames()
        outputs: Tensor = network(inputs[:, context : inputs.shape[1] - context])
        return outputs
