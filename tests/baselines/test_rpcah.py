from __future__ import annotations

import numpy as np
import pytest

from baselines.algorithms.robust_pca import MASK_TOLERANCE, robust_pca
from baselines.rpcah import RHO, RPCAh, level_of
from bench import stft
from bench.datasets import open_dataset
from bench.datasets.synthetic import Synthetic


def planted(seed=0, m=60, n=80):
    rng = np.random.default_rng(seed)
    low = rng.standard_normal((m, 2)) @ rng.standard_normal((2, n))
    sparse = np.where(rng.random((m, n)) < 0.04, 6 * rng.standard_normal((m, n)), 0.0)
    return low, sparse


def split(matrix, prior, weight, pull, tolerance=1e-7, rho=RHO):
    return robust_pca(matrix, weight, rho, tolerance, prior, pull)


def cost(low, sparse, prior, weight, pull):
    ranks = np.linalg.norm(low, "nuc")
    return ranks + weight * np.abs(sparse).sum() + pull / 2 * np.square(sparse - prior).sum()


def test_both_parts_add_up_to_the_matrix():
    low, sparse = planted()
    parts = split(low + sparse, sparse, 1 / 80**0.5, 2 / 80**0.5, tolerance=1e-5)
    error = np.linalg.norm(sum(parts) - low - sparse)
    assert error < 1e-5 * np.linalg.norm(low + sparse)


@pytest.mark.parametrize("pull", [0.05, 0.3])
def test_no_split_nearby_is_better(pull):
    low, sparse = planted()
    matrix, weight = low + sparse, 1 / 80**0.5
    split_low, split_sparse = split(matrix, sparse, weight, pull)
    best = cost(split_low, split_sparse, sparse, weight, pull)
    assert best <= cost(low, sparse, sparse, weight, pull) * (1 + 1e-3)
    rng = np.random.default_rng(1)
    for size in (0.3, 0.03):
        for _ in range(20):
            moved = split_sparse + size * rng.standard_normal(split_sparse.shape)
            assert cost(matrix - moved, moved, sparse, weight, pull) > best * (1 - 1e-3)


def test_a_prior_draws_the_sparse_part_to_it():
    low, sparse = planted()
    matrix, weight = low + sparse, 1 / 80**0.5
    without = split(matrix, np.zeros_like(matrix), weight, 0.0)[1]
    drawn = split(matrix, sparse + 1.0, weight, 5.0)[1]
    assert np.linalg.norm(drawn - sparse - 1) < 0.5 * np.linalg.norm(without - sparse - 1)


def test_the_path_of_a_clip_ends_near_the_optimum():
    track = Synthetic().tracks("train")[0]
    channel = stft.forward(track.mixture, 1024, 256)[0]
    method = RPCAh()
    magnitude = np.abs(channel)
    magnitude /= level_of(magnitude)
    prior = magnitude * method.harmonics(channel, track.rate)
    root = magnitude.shape[1] ** 0.5
    settings = prior, method.k / root, method.pull / root
    _, sparse = split(magnitude, *settings, tolerance=MASK_TOLERANCE)
    _, best = split(magnitude, *settings, rho=1.03)
    reached, least = (cost(magnitude - s, s, *settings) for s in (sparse, best))
    assert least <= reached < least * 1.003
    assert np.linalg.norm(sparse - best) < 0.03 * np.linalg.norm(best)


def test_one_loud_event_leaves_the_mask_of_the_other_frames():
    track = Synthetic().tracks("train")[0]
    channel = stft.forward(track.mixture, 1024, 256)[0]
    n_frames = channel.shape[1]
    knock = channel.copy()
    knock[:, n_frames // 2] = 5 * np.abs(channel).max()
    elsewhere = np.abs(np.arange(n_frames) - n_frames // 2) > 2

    class SamePitch(RPCAh):
        def harmonics(self, _, rate):
            return RPCAh.harmonics(self, channel, rate)

    voice, disturbed = (
        SamePitch().channel_masks(c, track.rate)["vocals"][:, elsewhere] for c in (channel, knock)
    )
    weights = np.abs(channel[:, elsewhere]) ** 2
    change = (weights * np.abs(disturbed - voice)).sum() / (weights * voice).sum()
    assert change < 0.1


def test_a_clip_that_is_nearly_silent_has_the_level_of_its_loudest_bin():
    magnitude = np.zeros((5, 100))
    assert level_of(magnitude) == 1.0
    magnitude[2, 7] = 0.25
    assert level_of(magnitude) == 0.25


def test_the_loudest_bin_of_the_median_training_clip_is_1(shared):
    clips = open_dataset("mir1k", shared / "data").tracks("train")[::4]
    spectrograms = [np.abs(stft.forward(clip.mixture, 1024, 256)[0]) for clip in clips]
    loudest = [m.max() / level_of(m) for m in spectrograms]
    assert np.median(loudest) == pytest.approx(1.0, abs=0.1)
