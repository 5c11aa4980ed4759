"""A trained network as a method: its author writes the network, the suite does the rest.

    @separator
    class Mine(NetworkSeparator):
        units: int = 300

        def network(self, n_bins, rate):
            return MyModule(n_bins, self.units)   # (sequence, frames, bins)
                                                  #   -> (sequence, frames, targets, bins)

With it come the excerpts, the masking layer, the objective, the optimisers, seeds, precision, the
best dev epoch, checkpoints and resume, live curves and pictures, several devices and hosts, saving,
and long songs in chunks. A network with other needs overrides a method of
`bench.training.settings.TrainingSettings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bench import masks
from bench.errors import BenchError
from bench.masks import Masks
from bench.methods.context import FitContext, MemberContext
from bench.methods.separator import Spectrogram, common_rate, separator
from bench.methods.subsample import fit_in_memory
from bench.track import TARGETS, Track
from bench.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.training.lightning import TrainingModule


class _Built(NamedTuple):
    """The trained networks of a method in evaluation mode, and what they were built of."""

    networks: list[nn.Module]
    weights: dict[str, NDArray[np.float32]]
    rate: int
    device: str


@separator
class NetworkSeparator(TrainingSettings):
    """A network trained by the suite; see `TrainingSettings` for its fields.

    A subclass defines `network` and its own hyperparameters as fields.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        multiple, frames = self.frame_multiple(), self.frames + 2 * self.context_frames()
        lengths = [frames, frames + self.frames] if self.memory() == "past" else [frames]
        if any(length % multiple for length in lengths):
            raise BenchError(
                f"frames plus the context on both sides must be a multiple of {multiple}, "
                f"not {self.frames} + 2 x {self.context_frames()}"
            )

    def module(self, tracks: Sequence[Track], dev: Sequence[Track] = ()) -> TrainingModule:
        """Return a training that has not begun, its weights drawn from the seed.

        Parameters
        ----------
        tracks, dev
            Tracks to train on, and to choose the best epoch by; see `fit`.
        """
        from bench.training.excerpts import TrainingExcerpts, mono_references
        from bench.training.lightning import RECIPES

        excerpts = TrainingExcerpts(
            tracks,
            self.LEVEL,
            self.n_fft,
            self.hop,
            self.frames,
            self.context_frames(),
            self.shift,
            self.pairing,
            self.seed,
            self.augmentation(),
            self.reference,
        )
        network = self._new_network(common_rate(tracks))
        self.prepare(network, excerpts)
        clips = [mono_references(track) for track in fit_in_memory(dev, self.seed)]
        return RECIPES[self.recipe](self, network, excerpts, [self._levelled(c) for c in clips])

    def _new_network(self, rate: int) -> nn.Module:
        """Return the network with weights that depend on the seed alone."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.network(self.n_fft // 2 + 1, rate)

    def _levelled(self, references: Tensor) -> Tensor:
        """Return a dev clip ``(targets, samples)`` whose mixture has the level `LEVEL`."""
        from bench.training.excerpts import rms

        mixture = references.sum(0, keepdim=True).double()
        return references * (self.LEVEL / max(rms(mixture, self.n_fft, self.hop), 1e-12))

    def fit(
        self, tracks: Sequence[Track], dev: Sequence[Track] = (), context: FitContext | None = None
    ) -> Self:
        """Train on `tracks`, and keep the weights that separate `dev` best; see `Separator.fit`."""
        from bench.training.trainer import train

        context = context or FitContext()
        if self.ensemble > 1:
            members = self.members()
            for i, member in enumerate(members):
                member.to(self.device).fit(tracks, dev, MemberContext(context, i))
            return self.join(members)
        rate = common_rate(tracks)
        module = self.module(tracks, dev)
        weights = train(module, context, self.device)
        self.weights_ = {name: w.numpy().astype(np.float32) for name, w in weights.items()}
        precisions = {*module.earlier_precisions, module.layer_precision}
        self.precision_ = " and ".join(sorted(precisions))
        self.rate_ = rate
        return self

    def members(self) -> Sequence[Self]:
        """Return the networks of an ensemble; none where `ensemble` is 1.

        An ensemble of n networks with seed s has members of seeds s n to s n + n - 1, so that the
        ensembles of two seeds have no member in common.
        """
        if self.ensemble == 1:
            return ()
        seeds = range(self.seed * self.ensemble, (self.seed + 1) * self.ensemble)
        return [dataclasses.replace(self, ensemble=1, seed=seed) for seed in seeds]

    def join(self, members: Sequence[Self]) -> Self:
        """Keep the weights of all members; see `Separator.join`."""
        self.weights_ = {
            f"{i}/{name}": weight
            for i, member in enumerate(members)
            for name, weight in member.weights_.items()
        }
        self.precision_ = " and ".join(sorted({member.precision_ for member in members}))
        self.rate_ = members[0].rate_
        return self

    def training_facts(self) -> dict[str, Any]:
        """Return the precision of the training, and the number of trained parameters.

        See `Separator.training_facts`.
        """
        network = self._new_network(self.rate_)
        n_parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        return {"precision": self.precision_, "parameters": n_parameters * self.ensemble}

    def alignment(self, rate: int) -> int:
        """Return where the network's state or sequence begins anew; see `Separator.alignment`."""
        frames = self.frame_multiple() if self.memory() == "none" else self.frames
        return self.hop * frames

    def lookahead(self, rate: int) -> int:
        """Return the number of samples on which an estimate depends; see `Separator.lookahead`."""
        frames = self.context_frames()
        if self.memory() == "sequence":
            frames += self.frames
        return self.hop * frames + self.n_fft

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "_built"}  # a network may not pickle

    def _trained_networks(self, rate: int) -> list[nn.Module]:
        """Return the trained networks in evaluation mode; the first clip builds them for all."""
        import torch

        built: _Built | None = vars(self).get("_built")
        if built is None or built.weights is not self.weights_ or built[2:] != (rate, self.device):
            networks = []
            for weights in self._member_weights():
                network = self._new_network(rate)
                network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
                networks.append(network.to(self.device).eval())
            built = vars(self)["_built"] = _Built(networks, self.weights_, rate, self.device)
        return built.networks

    def _member_weights(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the weights of each network: one, or the members of an ensemble."""
        for i in range(self.ensemble):
            prefix = f"{i}/" if self.ensemble > 1 else ""
            keys = (key for key in self.weights_ if key.startswith(prefix))
            yield {key.removeprefix(prefix): self.weights_[key] for key in keys}

    def estimates(self, network: Any, magnitudes: Tensor) -> Tensor:
        """Return the magnitudes from which masks are made, by default the network's estimates.

        Parameters
        ----------
        network
            The trained network.
        magnitudes
            Magnitudes of the mixture at the level of training, ``(channels, bins, frames)``.

        Returns
        -------
        Tensor
            ``(channels, targets, bins, frames)``.
        """
        from bench.training.inference import clip_estimates

        return clip_estimates(self, network, magnitudes)

    def masks(self, spectrogram: Spectrogram, rate: int) -> Masks:
        """Return each target's share; channels are separated one by one.

        Without any mask the shares are the estimates over the mixture, which need not add up.
        """
        import torch

        magnitudes = np.abs(spectrogram)
        scaled = magnitudes * (self.LEVEL / self.level(magnitudes))
        inputs = torch.from_numpy(scaled).float().to(self.device)
        with torch.no_grad():
            outputs = [
                self.estimates(network, inputs).cpu().double()
                for network in self._trained_networks(rate)
            ]
        arrays = torch.stack(outputs).mean(0).numpy()
        estimates = {target: arrays[:, i] for i, target in enumerate(TARGETS)}
        if self.test_mask == "binary":
            return masks.binary(estimates)
        if self.test_mask == "square":
            return masks.soft(estimates, power=2)
        if self.test_mask == "abs" or self.mask != "none":
            return masks.soft(estimates)
        return {target: masks.share(estimate, scaled) for target, estimate in estimates.items()}
