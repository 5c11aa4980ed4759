"""The DRNN as a method: a mask predicted by a network that was trained through the mask.

Idea: a feed-forward or recurrent network sees three frames of the mixture's magnitude and gives
a magnitude for each target; a masking layer inside the network turns them into shares of the
mixture, so that training minimises the error of the masked result (TASLP eq. 3-9). It separates
voices because a voice's harmonics, formants and onsets look unlike those of its accompaniment,
and the recurrent layer carries what sounded before.

Differences from the paper: by default Adam on mini-batches, every voice over the accompaniment of
any training clip, drawn anew each epoch, the loss a mean over frames and bins (``recipe: lbfgs``
with a fixed `shift` is the authors' full-batch L-BFGS on fixed mixtures, the loss a sum); the best
epoch by the voice's gain in signal-to-noise ratio on dev, where the paper takes GNSDR; every clip
is scaled to one level before the network (the paper feeds raw magnitudes of unit-norm clips, which
are nearly of one level), so that a louder mixture gives the same masks; in separation too the
recurrent state starts anew every `frames` frames, after a run-in of as many; the transform is
padded and gives back every sample.

References
----------
Huang, Kim, Hasegawa-Johnson, Smaragdis: Singing-Voice Separation from Monaural Recordings using
Deep Recurrent Neural Networks, ISMIR 2014.
Huang, Kim, Hasegawa-Johnson, Smaragdis: Joint Optimization of Masks and Deep Recurrent Neural
Networks for Monaural Source Separation, IEEE/ACM TASLP 23(12), 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from baselines.networks.drnn.inference import clip_estimates
from baselines.networks.drnn.network import DRNNNetwork
from bench import masks, stft
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.context import FitContext
from bench.methods.separator import LevelledSeparator, Spectrogram, common_rate, separator
from bench.methods.subsample import fit_in_memory
from bench.track import TARGETS, Track

if TYPE_CHECKING:
    from baselines.networks.drnn.module import DRNNModule

#: Root mean square of a mixture's spectrogram as the network sees it: about that of a clip of
#: 8 s at 16 kHz whose sources have norm 100.
LEVEL = 9.0


@separator
class DRNN(LevelledSeparator):
    """Deep recurrent network with the masking layer and the discriminative objective.

    Parameters
    ----------
    recurrent
        ``none``: DNN; k from 1: DRNN-k, layer k recurrent; ``all``: sRNN.
    gamma
        Weight of the discriminative term; 0 leaves it out.
    objective
        ``squared_error`` or ``kl``.
    outputs
        2: a block of outputs for each target; 1: for the voice alone, without a masking layer.
    mask
        The masking layer's function of the outputs, in training and after: ``abs``, ``square``,
        or ``none``: the outputs are the estimates.
    test_mask
        A mask made of the estimates once the network is trained: ``abs`` (soft), ``square``
        (Wiener-like) or ``binary``; ``none``: the estimates as they are. Behind a masking layer
        with the same function it changes nothing.
    features, context
        What the network sees of a frame: ``magnitude``, ``log_power`` or ``log_mel``; and frames
        in an input, odd.
    hidden, layers
        Units of a hidden layer, and hidden layers.
    shift
        By how much the voice is shifted in a circle: ``random``, or multiples of a number of
        samples; 0: not at all.
    pairing
        The accompaniment that a voice is trained over: its ``own``, or that of ``any`` training
        clip, drawn anew each epoch.
    recipe
        ``adam``: mini-batches; ``lbfgs``: the authors' full batch, all of whose mixtures are made
        by a fixed `shift` of voices over their own accompaniment.
    epochs, patience
        Passes over the training clips (iterations of L-BFGS), and how many may bring no better
        dev figure.
    batch_size, frames
        Sequences of a batch, and frames of a sequence, at whose start the state is 0.
    learning_rate, clip_norm
        Adam's largest step (it rises over the first 5 % of all steps and falls to 0 along half a
        cosine), and the largest norm of its gradient.
    precision
        Of the layers' products in training: ``float32``, or ``bfloat16``, several times as fast
        where the processor has instructions for it and slower where it has not.
    seed
        Of the start and of every draw.
    """

    VERSION: ClassVar[int] = 2
    GROUP: ClassVar[str] = "supervised"
    ON_GPU: ClassVar[bool] = True
    AFTER_TRAINING: ClassVar[frozenset[str]] = frozenset({"test_mask"})

    recurrent: Literal["none", "all"] | int = 2
    gamma: float = Field(0.05, ge=0, lt=1)
    objective: Literal["squared_error", "kl"] = "squared_error"
    outputs: Literal[1, 2] = 2
    mask: Literal["abs", "square", "none"] = "abs"
    test_mask: Literal["none", "abs", "square", "binary"] = "none"
    features: Literal["magnitude", "log_power", "log_mel"] = "magnitude"
    context: int = Field(3, ge=1)
    hidden: int = Field(1000, ge=1)
    layers: int = Field(3, ge=1)
    shift: Literal["random"] | Annotated[int, Field(ge=0)] = "random"
    pairing: Literal["own", "any"] = "any"
    recipe: Literal["adam", "lbfgs"] = "adam"
    epochs: int = Field(60, ge=1)
    patience: int = Field(25, ge=1)
    batch_size: int = Field(32, ge=1)
    frames: int = Field(50, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    clip_norm: float = Field(1.0, gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = Field(0, ge=0)

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
        if self.recipe == "lbfgs" and self.shift == "random":
            raise BenchError(
                "lbfgs needs mixtures that stay the same: set shift to a step such "
                "as 10000, or to 0"
            )

    def network(self, rate: int) -> DRNNNetwork:
        """Return a network of these hyperparameters, its weights not yet set."""
        return DRNNNetwork(
            self.n_fft // 2 + 1,
            self.context,
            self.hidden,
            self.layers,
            self.recurrent,
            self.mask,
            self.outputs,
            self.features,
            rate,
        )

    def module(self, tracks: Sequence[Track], dev: Sequence[Track] = ()) -> DRNNModule:
        """Return a training that has not begun, its start drawn from the seed; see `fit`."""
        from baselines.networks.drnn.module import RECIPES
        from baselines.networks.drnn.segments import Segments, mono_references, rms

        settings = (self.n_fft, self.hop)
        reach = self.context // 2
        cut = (LEVEL, *settings, self.frames, reach, self.shift, self.pairing, self.seed)
        segments = Segments(tracks, *cut)
        network = self.network(common_rate(tracks))
        network.initialise(torch.Generator().manual_seed(self.seed))
        if self.features != "magnitude":
            mixture = segments.clips.sum(0, keepdim=True)
            network.features.fit_normalisation(stft.forward(mixture, *settings)[0].abs().T)
        clips = [mono_references(track) for track in fit_in_memory(dev, self.seed)]
        levels = [
            LEVEL / max(rms(c.sum(0, keepdim=True).double(), *settings), 1e-12) for c in clips
        ]
        scaled = [clip * level for clip, level in zip(clips, levels, strict=True)]
        return RECIPES[self.recipe](self, network, segments, scaled)

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Train on `tracks`, keep the weights that separate `dev` best; see `Separator.fit`."""
        from baselines.networks.drnn.training import train

        rate = common_rate(tracks)
        weights = train(self.module(tracks, dev), context or FitContext(), self.device)
        self.weights_ = {name: w.numpy().astype(np.float32) for name, w in weights.items()}
        self.rate_ = rate
        return self

    def alignment(self, rate: int) -> int:
        """Return where the state begins anew; see `Separator.alignment`."""
        return self.hop * (1 if self.recurrent == "none" else self.frames)

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return each target's share; channels are separated one by one.

        Without any mask the shares are the estimates over the mixture, which need not add up.
        """
        network = self.network(rate).to(self.device)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in self.weights_.items()})
        magnitudes = np.abs(spectrogram)
        scaled = magnitudes * (LEVEL / self.level(magnitudes))
        inputs = torch.from_numpy(scaled).float().to(self.device)
        found = clip_estimates(network, inputs, self.frames).cpu().double().numpy()
        estimates = {target: found[:, i] for i, target in enumerate(TARGETS)}
        if self.test_mask == "binary":
            return masks.binary(estimates)
        if self.test_mask == "square":
            return masks.soft(estimates, power=2)
        if self.test_mask == "abs" or self.mask != "none":
            return masks.soft(estimates)
        return {target: masks.share(estimate, scaled) for target, estimate in estimates.items()}
