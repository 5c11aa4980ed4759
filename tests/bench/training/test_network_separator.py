"""What a network may declare, and what the suite does about it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from bench import stft
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.methods import chunks, registry
from bench.methods.context import FitContext
from bench.methods.separator import separator
from bench.track import TARGETS
from bench.training.network_separator import NetworkSeparator

SMALL = {"epochs": 2, "batch_size": 4, "precision": "float32"}
RATE = 16_000
#: What the rounding of single precision leaves of a seam.
EXACT_DB = 120.0


class Convolutions(nn.Module):
    """Two convolutions over bins and frames; pools two frames and repeats them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, (width, 3), padding="same")
        self.second = nn.Conv2d(4, 2, (width, 3), padding="same")
        self.lengths: set[int] = set()

    def forward(self, x):
        self.lengths.add(x.shape[1])
        pooled = nn.functional.avg_pool2d(x.unsqueeze(1), (2, 1))
        y = self.second(torch.relu(self.first(pooled))).repeat_interleave(2, dim=2)
        return y.transpose(1, 2)


@separator
class Images(NetworkSeparator):
    """Convolutions that see `far` frames on each side of a frame."""

    far: int = Field(4, ge=0)
    state: str = "none"
    frames: int = Field(20, ge=1)

    def network(self, n_bins, rate):
        return Convolutions(self.far // 2 + 1)

    def context_frames(self):
        return self.far

    def frame_multiple(self):
        return 2

    def memory(self):
        return self.state


@separator
class Recurrent(NetworkSeparator):
    """A recurrent layer forward in time."""

    def network(self, n_bins, rate):
        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.gru = nn.GRU(n_bins, 2 * n_bins, batch_first=True)

            def forward(self, x):
                return self.gru(x)[0].unflatten(-1, (2, -1))

        return Layer()

    def memory(self):
        return "past"


@separator
class Wrong(NetworkSeparator):
    """A network that forgets the targets."""

    def network(self, n_bins, rate):
        return nn.Linear(n_bins, n_bins)


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """The mixture of a song of 32 s."""
    return np.concatenate([track.mixture for track in Synthetic().tracks("test")], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        Images(**SMALL),
        Images(**SMALL, far=60),  # sees further than the second at the end of every chunk
        Images(**SMALL, state="sequence"),
        Images(**SMALL, far=20, state="sequence", frames=50),
        Recurrent(**SMALL, frames=20),
    ],
    ids=["context", "long context", "images", "long images", "recurrent"],
)
def test_a_network_gives_in_chunks_what_it_gives_in_one(tracks, dev, song, monkeypatch, method):
    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)
    method.fit(tracks, dev)
    cuts = chunks.cuts(song.shape[1], 1, RATE, method.alignment(RATE), method.lookahead(RATE))
    assert len(cuts) > 2
    whole, in_chunks = method.separate(song, RATE), chunks.separate_mixture(method, song, RATE)
    for target in TARGETS:
        error = np.square(whole[target] - in_chunks[target]).sum()
        assert 10 * np.log10(np.square(whole[target]).sum() / max(error, 1e-300)) > EXACT_DB


def test_images_have_one_size_in_training_dev_and_separation(tracks, dev, monkeypatch):
    networks = []

    def network(self, n_bins, rate):
        networks.append(Convolutions(3))
        return networks[-1]

    monkeypatch.setattr(Images, "network", network)
    method = Images(**SMALL, far=6, state="sequence").fit(tracks, dev)
    for n_samples in (1, 3000, 30_000):
        estimates = method.separate(np.random.default_rng(0).normal(size=(2, n_samples)), RATE)
        assert estimates["vocals"].shape == (2, n_samples)
    assert {length for network in networks for length in network.lengths} == {20 + 2 * 6}


def test_a_clip_of_any_length_fits_a_network_that_wants_multiples(tracks):
    method = Images(**SMALL).fit(tracks)
    for n_samples in (512 * 30, 512 * 31 + 7):
        mixture = np.random.default_rng(0).normal(size=(1, n_samples))
        estimates = method.separate(mixture, RATE)
        assert np.abs(sum(estimates.values()) - mixture).max() < 1e-9


def test_frames_that_are_no_multiple_are_refused():
    with pytest.raises(BenchError, match=r"must be a multiple of 2, not 21 \+ 2 x 4"):
        registry.make(Images, {"frames": 21}, "here")


def test_outputs_of_another_shape_are_refused_with_the_shape_that_is_expected(tracks):
    with pytest.raises(BenchError, match=r"Wrong gives outputs of shape .*; expected \(sequ"):
        Wrong(**SMALL).fit(tracks)


def test_weights_depend_on_the_seed_alone_and_leave_pytorchs_own_alone(tracks):
    before = torch.random.get_rng_state()
    one, two, other = (
        Recurrent(**SMALL, seed=seed).module(tracks).network.state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", ["adam", "lbfgs"])
def test_either_optimiser_trains_any_network(tracks, recipe):
    losses = []
    context = FitContext()
    context.log_metrics = lambda step, values: losses.append(values["train/loss"])
    Recurrent(**{**SMALL, "epochs": 6}, frames=20, recipe=recipe, shift=9000, pairing="own").fit(
        tracks, (), context
    )
    assert losses[-1] < losses[0]


def test_a_trained_network_is_built_for_the_first_clip_and_anew_after_a_training(tracks):
    class Counted(Recurrent):
        n_built = 0

        def network(self, n_bins, rate):
            Counted.n_built += 1
            return super().network(n_bins, rate)

    mixture = np.random.default_rng(0).normal(size=(1, 30_000))
    spectrogram = stft.forward(mixture, Counted.n_fft, Counted.hop)
    method = Counted(**SMALL, frames=20).fit(tracks)
    Counted.n_built = 0
    first = method.masks(spectrogram, RATE)["vocals"]
    assert np.array_equal(method.masks(spectrogram, RATE)["vocals"], first)
    assert Counted.n_built == 1
    assert "_built" not in vars(copy.copy(method)), "a network may not pickle"
    method.fit(tracks[:1])
    Counted.n_built = 0
    assert not np.array_equal(method.masks(spectrogram, RATE)["vocals"], first)
    assert Counted.n_built == 1


@pytest.fixture(scope="module")
def ensemble(tracks) -> Recurrent:
    """Two networks, of the second pair of seeds."""
    return Recurrent(**SMALL, frames=20, ensemble=2, seed=1).fit(tracks)


def test_an_ensemble_averages_the_estimates_of_networks_with_seeds_of_their_own(tracks, ensemble):
    mixture = np.random.default_rng(0).normal(size=(1, 30_000))
    spectrogram = stft.forward(mixture, ensemble.n_fft, ensemble.hop)
    members = [Recurrent(**SMALL, frames=20, seed=seed).fit(tracks) for seed in (2, 3)]
    shares = [m.masks(spectrogram, RATE)["vocals"] for m in members]
    mean = ensemble.masks(spectrogram, RATE)["vocals"]
    # Each network's estimates add up to the mixture, so that the mean of their shares is the share.
    np.testing.assert_allclose(mean, np.mean(shares, axis=0), atol=1e-5)
    assert np.abs(shares[0] - shares[1]).max() > 1e-3
    facts = [m.training_facts() for m in [ensemble, *members]]
    assert facts[0]["parameters"] == facts[1]["parameters"] + facts[2]["parameters"]


def test_a_saved_ensemble_separates_as_before(ensemble, tmp_path):
    mixture = np.random.default_rng(0).normal(size=(1, 30_000))
    ensemble.save(tmp_path)
    loaded = Recurrent.load(tmp_path)
    before, after = (m.separate(mixture, RATE)["vocals"] for m in (ensemble, loaded))
    assert np.array_equal(before, after)


def test_an_ensemble_goes_on_from_the_checkpoints_of_its_members(tracks, ensemble, tmp_path):
    class StoppedError(Exception):
        pass

    class Context(FitContext):
        folder = tmp_path

        def report_progress(self, done, total, unit="steps", text=""):
            if "member 2" in text and done == 1:
                raise StoppedError

    method = Recurrent(**SMALL, frames=20, ensemble=2, seed=1)
    with pytest.raises(StoppedError):
        method.fit(tracks, (), Context())
    assert (tmp_path / "member-0" / "checkpoints" / "last.ckpt").is_file()
    trained: set[str] = set()
    context = FitContext()
    context.folder = tmp_path
    context.report_progress = lambda done, total, unit="steps", text="": trained.add(
        text.partition(",")[0]
    )
    method.fit(tracks, (), context)
    assert trained == {"member 2"}, "the first was trained again"
    assert all(np.array_equal(method.weights_[k], w) for k, w in ensemble.weights_.items())
