from __future__ import annotations

import numpy as np
import pytest

from bench.errors import BenchError
from bench.track import Track, check_audio


def sources(shape=(1, 100), dtype=np.float64):
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(dtype) for name in ("vocals", "accompaniment")}


def test_mixture_is_the_sum_of_the_references():
    references = sources((2, 50))
    track = Track("a", 16_000, references)
    assert np.array_equal(track.mixture, references["vocals"] + references["accompaniment"])
    assert (track.n_samples, track.duration_s) == (50, 50 / 16_000)


def test_a_sample_that_is_no_number_is_refused_with_its_place():
    references = sources()
    references["vocals"][0, 7] = np.nan
    with pytest.raises(BenchError, match=r"vocals of track 'a' has 1 sample.*NaN.*at sample 7"):
        Track("a", 16_000, references)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("vocals"), "needs exactly"),
        (lambda r: r.update(drums=r["vocals"]), "needs exactly"),
        (lambda r: r.update(vocals=np.zeros((1, 3))), "differ in shape"),
        (lambda r: r.update({k: np.zeros((1, 0)) for k in r}), "not empty"),
        (lambda r: r.update({k: np.zeros(5) for k in r}), "expected"),
    ],
)
def test_references_that_do_not_belong_together_are_refused(change, message):
    references = sources()
    change(references)
    with pytest.raises(BenchError, match=message):
        Track("a", 16_000, references)


def test_an_excerpt_of_an_excerpt_knows_where_in_the_piece_it_begins():
    track = Track("a", 16_000, sources((1, 50)), np.array([69.0, 0.0]))
    inner = track.excerpt(10, 30).excerpt(5, 10)
    assert (inner.start, inner.n_samples) == (15, 10)
    assert np.array_equal(inner.references["vocals"], track.references["vocals"][:, 15:25])
    assert np.array_equal(inner.pitch, track.pitch)


def test_audio_of_samples_by_channels_is_refused_with_the_way_out():
    with pytest.raises(BenchError, match=r"3000 channels of 2 sample\(s\).*pass audio\.T"):
        check_audio(np.zeros((3000, 2)), "the mixture")
    check_audio(np.zeros((8, 3)), "a short mixture of many channels")
