"""Settings of a training: the fields that every network has, and what a network may declare.

`TrainingSettings` is the part of `bench.training.network_separator.NetworkSeparator` that training
and inference read. Its methods are the places where a network differs from the others; each has a
default that fits a plain network.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from bench.errors import BenchError
from bench.methods.separator import LevelledSeparator, separator
from bench.training import masking, optimizers
from bench.training.augmentation import NO_AUGMENTATION, Augmentation
from bench.training.objective import Objective, Reference, discriminative
from bench.training.precision import Precision, UsedPrecision, used_precision

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.training.excerpts import TrainingExcerpts

Memory = Literal["none", "past", "sequence"]


@separator
class TrainingSettings(LevelledSeparator):
    """Fields of every trained network, and the declarations of one.

    Parameters
    ----------
    gamma
        Weight of the discriminative term, in [0, 1); 0 leaves it out.
    objective
        Divergence of an estimate from its reference: ``squared_error``, ``absolute_error`` or
        ``kl``.
    reference
        What an estimate should be: the ``magnitude`` of its target, or ``phase_sensitive``: what of
        the target is in phase with the mixture, from 0 to the magnitude of the mixture.
    mask
        Function of the masking layer, in training and after: ``abs``, ``square``, or ``none``:
        there is no layer, the network is trained on its outputs as they are, and their absolute
        values are the estimates.
    test_mask
        Mask made of the estimates once the network is trained: ``abs`` (soft), ``square``
        (Wiener-like) or ``binary``; ``none``: the estimates as they are. Behind a masking layer
        ``abs`` changes nothing, since the estimates add up to the mixture already; ``square``
        sharpens the mask again.
    shift
        Circular shift of each voice against its accompaniment: ``random``, or multiples of a number
        of samples; 0: none.
    pairing
        Accompaniment that a voice is trained over: its ``own``, or that of ``any`` training clip,
        drawn anew each epoch.
    gain_db
        Largest random gain of each target in a training sequence, up or down, in dB; 0: none.
    polarity
        Whether the polarity of each target in a training sequence is random.
    spectral_mask
        Largest fraction of the bins, side by side, that are hidden from the network in a training
        sequence; 0: none.
    pitch_semitones
        Semitones by which one copy of each clip is raised and one is lowered. A training sequence
        is drawn from the clip or one of its copies; 0: no copies.
    tempo_change
        Fraction by which one copy of each clip is faster and one is slower, drawn likewise; 0: no
        copies.
    recipe
        Optimiser: ``adam`` on mini-batches, or ``lbfgs`` on the full batch, all of whose mixtures
        are made by a fixed `shift` of voices over their own accompaniment.
    epochs
        Passes over the training clips, or iterations of L-BFGS.
    select
        Epoch whose weights are kept: the ``best`` on dev, or the ``last``.
    patience
        Epochs of Adam without a better dev score after which training stops, where `select` is
        ``best``. L-BFGS runs all its iterations.
    batch_size
        Sequences of a batch.
    frames
        Frames of a sequence.
    learning_rate
        Peak learning rate of Adam. It rises over the first 5 % of all steps and falls to 0 along
        half a cosine.
    clip_norm
        Largest L2 norm of Adam's gradient; a longer one is scaled down to it.
    average
        Decay per step of Adam of an exponential moving average of the weights, which is validated
        and kept in their place; 0: no average.
    ensemble
        Number of networks, trained from different seeds, whose estimates are averaged; 1: a single
        network.
    precision
        Precision of the network's products in training: ``float32``; ``bfloat16``, several times as
        fast where the processor has instructions for it and slower where it has not; ``auto``: the
        faster of the two. L-BFGS always takes float32.
    seed
        Seed of the initial weights and of every draw.

    Attributes
    ----------
    LEVEL
        Root mean square of a mixture's spectrogram as the network sees it. 9 is about that of a
        clip of 8 s at 16 kHz whose sources have norm 100.
    MASK_EPSILON
        Constant in the denominator of the masking layer.
    """

    GROUP: ClassVar[str] = "supervised"
    ON_GPU: ClassVar[bool] = True
    AFTER_TRAINING: ClassVar[frozenset[str]] = frozenset({"test_mask"})
    LEVEL: ClassVar[float] = 9.0
    MASK_EPSILON: ClassVar[float] = masking.EPSILON
    ADDED: ClassVar[Mapping[str, Any]] = {
        "reference": "magnitude",
        "gain_db": 0.0,
        "polarity": False,
        "spectral_mask": 0.0,
        "pitch_semitones": 0.0,
        "tempo_change": 0.0,
        "average": 0.0,
        "ensemble": 1,
    }

    gamma: float = Field(0.0, ge=0, lt=1)
    objective: Objective = "squared_error"
    reference: Reference = "magnitude"
    mask: Literal["abs", "square", "none"] = "abs"
    test_mask: Literal["none", "abs", "square", "binary"] = "none"
    shift: Literal["random"] | Annotated[int, Field(ge=0)] = "random"
    pairing: Literal["own", "any"] = "any"
    gain_db: float = Field(0.0, ge=0)
    polarity: bool = False
    spectral_mask: float = Field(0.0, ge=0, lt=1)
    pitch_semitones: float = Field(0.0, ge=0, le=12)
    tempo_change: float = Field(0.0, ge=0, le=0.5)
    recipe: Literal["adam", "lbfgs"] = "adam"
    epochs: int = Field(60, ge=1)
    select: Literal["best", "last"] = "best"
    patience: int = Field(25, ge=1)
    batch_size: int = Field(32, ge=1)
    frames: int = Field(50, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.0, ge=0, lt=1)
    ensemble: int = Field(1, ge=1)
    precision: Precision = "auto"
    seed: int = Field(0, ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective == "kl" and self.mask == "none":
            raise BenchError(
                "kl needs estimates that are never negative: set mask to abs or square, or take "
                "another objective"
            )
        if self.recipe == "lbfgs":
            self._check_lbfgs()

    def _check_lbfgs(self) -> None:
        """Refuse what the full batch or the line search of L-BFGS cannot use."""
        if self.shift == "random":
            raise BenchError(
                "lbfgs needs mixtures that stay the same: set shift to a step such "
                "as 10000, or to 0"
            )
        if self.pairing == "any":
            raise BenchError("lbfgs needs mixtures that stay the same: set pairing to own")
        random = [name for name in vars(NO_AUGMENTATION) if getattr(self, name)]
        if random:
            raise BenchError(f"lbfgs needs mixtures that stay the same: leave out {random[0]}")
        if self.average:
            raise BenchError("lbfgs has no average of weights: leave out average, or take adam")
        if self.precision == "bfloat16":
            raise BenchError(
                "the line search of lbfgs needs more digits than bfloat16 has: set precision to "
                "float32 or auto"
            )

    @abstractmethod
    def network(self, n_bins: int, rate: int) -> nn.Module:
        """Return the network, its weights drawn from PyTorch's global generator or not yet set.

        It maps magnitudes of the mixture ``(sequence, frames, bins)`` to raw outputs
        ``(sequence, frames, outputs, bins)``, a block of outputs for each of
        `bench.track.TARGETS`, or one for the first of them alone.

        Parameters
        ----------
        n_bins
            Frequency bins of a frame.
        rate
            Sampling rate in hertz.
        """

    def prepare(self, network: Any, excerpts: TrainingExcerpts) -> None:
        """Set what the network takes from its training clips before the first step; nothing here.

        Parameters
        ----------
        network
            What `network` returned.
        excerpts
            The training clips.
        """

    def context_frames(self) -> int:
        """Return how many frames before and after a frame the network sees beside it; 0 by default.

        They are cut around every training sequence. Their outputs do not count.
        """
        return 0

    def frame_multiple(self) -> int:
        """Return the number of which the network's frames must be a multiple; 1 by default."""
        return 1

    def memory(self) -> Memory:
        """Return which frames beyond its context an output depends on.

        ``sequence`` (by default): any frame of the sequence, as in a network that runs through time
        both ways, or takes images of one size. In separation the sequences are as long as in
        training. ``past``: the frames of the sequence before it, as in a recurrent network. In
        separation its state starts anew every `frames` frames, after a run-in of as many.
        ``none``: no other frame. In separation a clip is one sequence.
        """
        return "sequence"

    def raw_outputs(self, network: Any, x: Tensor) -> Tensor:
        """Return the raw outputs of a network.

        Parameters
        ----------
        network
            What `network` returned.
        x
            Magnitudes of the mixture, ``(sequence, frames + 2 context_frames(), bins)``.

        Returns
        -------
        Tensor
            ``(sequence, frames, outputs, bins)``.
        """
        y: Tensor = network(x)
        context = self.context_frames()
        return y[:, context : y.shape[1] - context]

    def stages(self, network: Any, x: Tensor) -> Sequence[Tensor]:
        """Return raw outputs of which the objective is the sum: by default `raw_outputs` alone.

        A network that is also supervised in its middle adds what it gives there.

        Parameters
        ----------
        network, x
            As for `raw_outputs`.

        Returns
        -------
        sequence of Tensor
            Each as from `raw_outputs`.
        """
        return [self.raw_outputs(network, x)]

    def masked(self, y: Tensor, x: Tensor) -> Tensor:
        """Return estimated magnitudes from raw outputs; see `bench.training.masking.masked`."""
        return masking.masked(y, x, self.mask, self.MASK_EPSILON)

    def loss(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Return the objective, a sum over everything; see `bench.training.objective`."""
        return discriminative(estimates, references, self.gamma, self.objective, self.LEVEL)

    def augmentation(self) -> Augmentation:
        """Return the changes of training sequences that the fields of the same names ask for."""
        return Augmentation(**{name: getattr(self, name) for name in vars(NO_AUGMENTATION)})

    def adam(self, parameters: Iterable[nn.Parameter], n_steps: int) -> optimizers.Scheduled:
        """Return Adam and the schedule of its rate, which is advanced after each step.

        Parameters
        ----------
        parameters
            Weights of the network.
        n_steps
            Steps of the whole training.
        """
        return optimizers.adam(parameters, self.learning_rate, n_steps)

    def used_precision(self) -> UsedPrecision:
        """Return the precision that a training on this machine uses."""
        if self.recipe == "lbfgs":
            return "float32"
        return used_precision(self.precision, self.device)

    @classmethod
    def fingerprint_values(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of the hyperparameters identifies a cell; see the base class.

        The constant of the KL divergence is in proportion to `LEVEL`. Cells that were computed
        while it had the authors' value at every level have another fingerprint.
        """
        identity = super().fingerprint_values(values)
        if values.get("objective") == "kl":
            identity["kl_constant"] = "relative to the level"
        return identity
