"""Long songs in overlapping pieces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.mixture import Mixture
from baselines.networks.blstm.separator import BLSTM
from baselines.networks.drnn.separator import DRNN
from baselines.networks.rnmf import SupervisedRNMF
from baselines.networks.unet.separator import UNet
from baselines.nmf import NMF
from baselines.oracles import IdealRatioMask
from baselines.rpca import RPCA
from bench import stft
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from bench.methods import chunks
from bench.methods.oracle import Oracle
from bench.methods.separator import Separator, separator
from bench.methods.song import SongSeparator
from bench.track import TARGETS, Track

RATE = 16_000
#: The target of the seam error, and what the rounding of single precision leaves.
SEAM_DB, EXACT_DB = 60.0, 120.0


@pytest.fixture(scope="module")
def song() -> Track:
    """A song of 32 s in stereo, its parts of unlike levels."""
    tracks = [*Synthetic().tracks("test")]
    levels = np.repeat([1.0, 0.2, 0.6, 1.5, 0.1, 1.0, 0.4, 0.8], 64_000)
    references = {
        t: np.concatenate([track.references[t] for track in tracks], axis=1) * levels
        for t in TARGETS
    }
    pan = {"vocals": [[1.0], [0.7]], "accompaniment": [[0.5], [1.0]]}
    return Track("song", RATE, {t: references[t] * np.array(pan[t]) for t in TARGETS})


@pytest.fixture
def short_pieces(monkeypatch):
    """Pieces of 10 s, so that a song of half a minute has several."""
    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)


@pytest.fixture(scope="module")
def methods():
    train, dev = Synthetic().tracks("train")[:4], Synthetic().tracks("dev")[:1]
    small = {"hidden": 24, "epochs": 3, "batch_size": 4}
    return {
        "mixture": Mixture(),
        "dnn": DRNN(recurrent="none", **small).fit(train, dev),
        "drnn": DRNN(**small).fit(train, dev),
        "log_mel": DRNN(features="log_mel", test_mask="binary", **small).fit(train, dev),
        "rnmf": SupervisedRNMF(atoms=8, epochs=1).fit(train, dev),
        "blstm": BLSTM(hidden=16, layers=1, epochs=1, batch_size=4).fit(train, dev),
        "unet": UNet(channels=2, levels=3, epochs=1).fit(train, dev),
        "nmf": NMF(atoms=8, iterations=20).fit(train, dev),
    }


def difference_db(one, other) -> float:
    """Return how far below `one` its difference from `other` lies."""
    error = np.square(one - other).sum()
    return float(10 * np.log10(np.square(one).sum() / max(error, 1e-300)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("mixture", EXACT_DB),
        ("dnn", EXACT_DB),
        ("drnn", EXACT_DB),
        ("log_mel", EXACT_DB),
        ("rnmf", EXACT_DB),
        ("blstm", EXACT_DB),
        ("unet", EXACT_DB),
        ("nmf", SEAM_DB),  # frames share a level, and a floor below it
    ],
)
def test_a_method_with_a_limited_past_gives_in_pieces_what_it_gives_in_one(
    methods, song, short_pieces, name, least
):
    method = methods[name]
    grid = method.alignment(RATE)
    assert len(chunks.cuts(song.n_samples, 2, RATE, grid)) > 3
    whole = method.separate(song.mixture, RATE)
    cut = chunks.separate_mixture(method, song.mixture, RATE)
    for target in TARGETS:
        assert difference_db(whole[target], cut[target]) > least


def test_what_sees_the_whole_song_meets_without_a_step(song, short_pieces):
    estimates = chunks.separate_mixture(RPCA(), song.mixture, RATE)
    assert np.abs(sum(estimates.values()) - song.mixture).max() < 1e-12
    # Where one piece goes over into the next, neighbouring samples differ no more than elsewhere.
    cuts = chunks.cuts(song.n_samples, 2, RATE, RPCA().alignment(RATE))
    steps = np.abs(np.diff(estimates["vocals"]))
    for _, stop in cuts[:-1]:
        fade = stop - int((chunks.END_S + chunks.FADE_S) * RATE)
        around = steps[:, fade - 4000 : fade + 12_000]
        assert steps[:, fade - 2 : fade + 2].max() <= np.quantile(around, 0.999) + 1e-12


def test_one_chunk_fades_into_the_next_in_a_straight_line(short_pieces):
    n_samples = 32 * RATE
    song_chunks = chunks.cuts(n_samples, 1, RATE, RPCA().alignment(RATE))
    numbers = itertools.count()

    def numbered(start, stop):
        number = float(next(numbers))
        return {target: np.full((1, stop - start), number) for target in TARGETS}

    whole = chunks.concatenated(chunks.overlap_add(song_chunks, RATE, numbered))["vocals"][0]
    fade, end = (int(seconds * RATE) for seconds in (chunks.FADE_S, chunks.END_S))
    expected = np.zeros(n_samples)
    for number, (_, stop) in enumerate(song_chunks[:-1]):
        expected[stop - end - fade : stop - end] = number + np.linspace(0, 1, fade)
        expected[stop - end :] = number + 1
    np.testing.assert_allclose(whole, expected, atol=1e-12)


def test_a_bound_is_made_in_pieces_too(song, short_pieces):
    whole = IdealRatioMask().separate_track(song)
    cut = chunks.separate_track(IdealRatioMask(), song)
    assert all(difference_db(whole[t], cut[t]) > EXACT_DB for t in TARGETS)


def test_a_short_clip_is_separated_whole(song):
    clip = song.excerpt(0, 12 * RATE)

    class Whole(Mixture):
        def for_song(self, blocks, rate):
            raise AssertionError("a short clip is no song")

    assert len(chunks.cuts(clip.n_samples, 1, RATE, 512)) == 1
    assert chunks.separate_track(Whole(), clip)["vocals"].shape == clip.mixture.shape


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 20_000_000),
    channels=st.sampled_from([1, 2, 8]),
    rate=st.sampled_from([8000, 16_000, 44_100, 192_000]),
    grid=st.sampled_from([1, 256, 512, 25_600, 102_400]),
)
def test_pieces_cover_a_song_and_overlap_by_what_a_method_needs(n, channels, rate, grid):
    spans = chunks.cuts(n, channels, rate, grid)
    assert spans[0][0] == 0
    assert spans[-1][1] == n
    for (_, stop), (start, after) in itertools.pairwise(spans):
        assert start % grid == 0
        assert after > stop
        assert stop - start >= grid + int(chunks.CHUNK_OVERLAP_S * rate) - 1


def test_the_level_of_a_song_read_in_blocks_is_that_of_its_spectrogram(song):
    mixture = song.mixture[:, :100_003]
    blocks = np.array_split(mixture, [7, 3000, 3001, 60_000], axis=1)
    power = np.square(np.abs(stft.forward(mixture, 1024, 256))).mean(axis=(1, 2))
    assert np.abs(stft.mean_power(blocks, 1024, 256) / power - 1).max() < 1e-12


@separator
class Odd(Separator):
    """Breaks one promise of a method."""

    promise: str = "target"

    def separate(self, mixture, rate):
        if self.promise == "error":
            return {"vocals": mixture[7]}
        if self.promise == "error of lines":
            raise RuntimeError("first\nsecond")
        if self.promise == "dict":
            return mixture, mixture
        estimates = {"vocals": mixture, "accompaniment": mixture}
        if self.promise == "target":
            del estimates["accompaniment"]
        if self.promise == "shape":
            estimates["vocals"] = mixture.T
        if self.promise == "finite":
            estimates["vocals"] = mixture * np.nan
        if self.promise == "tensor":
            estimates["vocals"] = torch.ones(mixture.shape, requires_grad=True)
        if self.promise == "text":
            estimates["vocals"] = mixture.astype(str)
        if self.promise == "complex":
            estimates["vocals"] = mixture.astype(complex)
        if self.promise == "more":
            estimates["drums"] = mixture
        return estimates


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ("target", "returned no estimate of accompaniment"),
        ("shape", "returned vocals of shape (300, 2); it must have the mixture's, (2, 300)"),
        ("finite", "returned vocals with samples that are NaN or infinite"),
        ("dict", "returned a tuple; it must return a dict with an array for each of vocals"),
        ("tensor", "returned vocals as a Tensor; it must be a NumPy array"),
        ("text", "returned vocals in the type <U32; it must hold floats"),
        ("complex", "returned vocals in the type complex128; it must hold floats"),
        ("more", "returned 'drums', which is no target; known: vocals, accompaniment"),
        ("error of lines", "raised RuntimeError: first (test_chunks.py, line "),
        ("error", "raised IndexError: index 7 is out of bounds for axis 0 with size 2 (test_chunk"),
    ],
)
def test_a_broken_promise_of_a_method_from_elsewhere_is_named(promise, message):
    with pytest.raises(BenchError) as caught:
        SongSeparator(Odd(promise=promise), "odd").separate(np.ones((2, 300)), RATE)
    assert f"{__name__}:Odd.separate {message}" in str(caught.value)


@separator
class OddBound(Oracle):
    """A bound that breaks one promise."""

    def separate_track(self, track):
        return {"vocals": track.mixture, "accompaniment": track.mixture[:, 1:]}


@pytest.mark.parametrize("call", ["alignment", "lookahead", "for_song"])
def test_an_error_of_any_call_of_a_method_from_elsewhere_is_named(monkeypatch, call):
    def fail(*_):
        raise NotImplementedError

    monkeypatch.setattr(Odd, call, fail)
    with pytest.raises(BenchError, match=rf"Odd\.{call} raised NotImplementedError \(test_chu"):
        chunks.separate_mixture(Odd(promise=""), np.ones((1, 130 * RATE)), RATE)


def test_a_broken_promise_of_a_bound_from_elsewhere_is_named():
    with pytest.raises(BenchError, match=r"OddBound\.separate_track returned accompaniment"):
        chunks.separate_track(OddBound(), Synthetic().tracks("test")[0])
