"""BSS Eval against mir_eval, and against the definition by explicit projections."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.scoring.bss_eval.api import References, bss_eval_images, bss_eval_sources

DB = 1e-6  # float64, two ways of solving the same normal equations
# Half a second of three and four sources at 8 kHz: a condition number of 1e12, at which museval's
# own filters are 1e-5 off (by refinement in long double), and windows do not average it out.
ILL_CONDITIONED_DB = 1e-4


def mir_eval_sources(references, estimates):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mir_eval.separation announces that it will leave
        import mir_eval

        sdr, sir, sar, _ = mir_eval.separation.bss_eval_sources(
            references, estimates, compute_permutation=False
        )
    return sdr, sir, sar


def compare_images(references, estimates, window, hop, tolerance=DB):
    """Compare with museval; its first axis after the source is time."""
    museval = pytest.importorskip("museval.metrics", reason="needs ffmpeg", exc_type=Exception)
    theirs = museval.bss_eval(
        references.transpose(0, 2, 1), estimates.transpose(0, 2, 1), window=window, hop=hop
    )
    ours = bss_eval_images(references, estimates, window, hop)
    for our_values, other in zip((ours.sdr, ours.isr, ours.sir, ours.sar), theirs, strict=False):
        assert our_values.shape == other.shape
        assert np.abs(our_values - other).max() < tolerance


def compare(references, estimates):
    ours = bss_eval_sources(references[:, None], estimates[:, None])
    for our_values, theirs in zip(
        (ours.sdr, ours.sir, ours.sar), mir_eval_sources(references, estimates), strict=True
    ):
        assert np.abs(our_values - theirs).max() < DB


# Shrinking would take minutes: a failing draw is small enough to read.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    n_samples=st.integers(2500, 9000),
    n_sources=st.integers(2, 3),
    leak=st.floats(0.01, 2.0),
    noise=st.floats(0.01, 2.0),
    seed=st.integers(0, 999),
)
def test_mir_eval_gives_the_same_scores_on_noise(n_samples, n_sources, leak, noise, seed):
    rng = np.random.default_rng(seed)
    references = rng.standard_normal((n_sources, n_samples))
    added = leak * np.roll(references, 1, 0) + noise * rng.standard_normal(references.shape)
    compare(references, references + added)


def test_mir_eval_gives_the_same_scores_on_synthetic_music(test_track):
    voice, backing = (test_track.references[t][0] for t in ("vocals", "accompaniment"))
    rng = np.random.default_rng(0)
    filtered = np.convolve(voice, [1.0, 0.5, -0.2])[: len(voice)]
    noise = 1e-3 * rng.standard_normal(len(voice))
    compare(np.stack([voice, backing]), np.stack([filtered + 0.3 * backing, backing + noise]))


@pytest.mark.parametrize("floor_db", [-120, -100, -60])
def test_mir_eval_gives_the_same_scores_on_music_without_treble(test_track, floor_db):
    """Condition numbers of 1e12, 1e10 and 1e6: what MP3 and AAC leave above their cut-off."""
    rng = np.random.default_rng(0)
    sources = np.stack([test_track.references[t][0] for t in ("vocals", "accompaniment")])
    low = scipy.signal.sosfilt(scipy.signal.butter(10, 0.35, output="sos"), sources)
    low /= np.abs(low).max()
    references = low + 10 ** (floor_db / 20) * rng.standard_normal(low.shape)
    leaky = references + 0.1 * references[::-1] + 0.05 * np.roll(references, 3, axis=1)
    compare(references, leaky + 0.1 * np.tanh(3 * leaky))
    mixture = np.stack([references.sum(axis=0)] * 2)
    assert (bss_eval_sources(references[:, None], mixture[:, None]).sar == np.inf).all()


def test_the_mixture_of_a_real_clip_has_no_artifacts(shared):
    """A clip whose filters are long: their rounding must not count as artifacts at 125 dB."""
    import soundfile

    both, _ = soundfile.read(shared / "data" / "MIR-1K" / "Wavfile" / "amy_9_06.wav")
    mixture = np.stack([both.sum(axis=1)] * 2)
    assert (bss_eval_sources(both.T[:, None], mixture[:, None]).sar == np.inf).all()


@pytest.mark.parametrize("case", ["01", "02", "03"])
def test_mir_eval_gives_the_same_scores_on_its_own_fixtures(shared, case):
    import soundfile

    folder = shared / "fixtures" / "mir_eval"
    read = [
        np.stack([soundfile.read(f)[0] for f in sorted((folder / f"{kind}{case}").glob("*.wav"))])
        for kind in ("ref", "est")
    ]
    compare(*read)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_definition_by_explicit_projections_gives_the_same_scores(n_channels):
    rng = np.random.default_rng(5)
    references = rng.standard_normal((2, n_channels, 300))
    estimates = references + 0.4 * references[::-1] + 0.2 * rng.standard_normal(references.shape)
    taps = 6

    def delayed(sources):
        rows = sources.reshape(-1, 300)
        return np.stack([np.pad(r, (d, taps - 1 - d)) for r in rows for d in range(taps)])

    def project(basis, signal):
        return basis.T @ np.linalg.lstsq(basis.T, signal, rcond=None)[0]

    ours = bss_eval_sources(references, estimates, filter_length=taps)
    for j, estimate in enumerate(estimates):
        e = np.pad(estimate, ((0, 0), (0, taps - 1))).T
        target = project(delayed(references[j]), e)
        everything = project(delayed(references), e)
        interference, artifacts = everything - target, e - everything

        def db(a, b):
            return 10 * np.log10(np.sum(a**2) / np.sum(b**2))

        assert ours.sdr[j] == pytest.approx(db(target, interference + artifacts), abs=DB)
        assert ours.sir[j] == pytest.approx(db(target, interference), abs=DB)
        assert ours.sar[j] == pytest.approx(db(everything, artifacts), abs=DB)


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    n_samples=st.integers(4500, 9000),
    n_sources=st.integers(2, 3),
    n_channels=st.integers(1, 2),
    window=st.integers(600, 10_000),
    overlap=st.sampled_from([1.0, 1.5, 2.0]),
    noise=st.floats(0.01, 2.0),
    seed=st.integers(0, 999),
)
def test_museval_gives_the_same_scores_on_noise(
    n_samples, n_sources, n_channels, window, overlap, noise, seed
):
    rng = np.random.default_rng(seed)
    references = rng.standard_normal((n_sources, n_channels, n_samples))
    added = 0.3 * np.roll(references, 1, 0) + noise * rng.standard_normal(references.shape)
    compare_images(references, references + added, window, int(window / overlap))


def test_museval_gives_the_same_scores_on_synthetic_music(test_track):
    rng = np.random.default_rng(0)
    voice, backing = (test_track.references[t] for t in ("vocals", "accompaniment"))
    stereo = np.stack([np.concatenate([s, 0.7 * np.roll(s, 3)]) for s in (voice, backing)])
    references = stereo + 1e-5 * rng.standard_normal(stereo.shape)
    leaky = references + 0.2 * references[::-1]
    compare_images(references, leaky + 1e-4 * rng.standard_normal(stereo.shape), 4000, 4000)


@pytest.mark.parametrize("case", ["01", "02", "03", "06"])
def test_museval_gives_the_same_scores_on_the_fixtures_of_mir_eval(shared, case):
    import soundfile

    folder = shared / "fixtures" / "mir_eval"
    signals = [
        np.stack(
            [
                soundfile.read(f, always_2d=True)[0].T
                for f in sorted((folder / f"{kind}{case}").glob("*.wav"))
            ]
        )
        for kind in ("ref", "est")
    ]
    compare_images(*signals, signals[0].shape[-1], 1)
    compare_images(*signals, 4000, 2000, ILL_CONDITIONED_DB if case in ("02", "03") else DB)


def test_a_batch_is_scored_track_by_track_and_pytorch_as_numpy():
    rng = np.random.default_rng(0)
    references = rng.standard_normal((2, 3, 2, 1, 2000))
    estimates = references + 0.5 * rng.standard_normal(references.shape)
    tensors = torch.from_numpy(references), torch.from_numpy(estimates)
    sources = bss_eval_sources(*tensors, filter_length=32)
    images = bss_eval_images(*tensors, window=500, hop=500, filter_length=32)
    assert (sources.sdr.shape, images.isr.shape) == ((2, 3, 2), (2, 3, 2, 4))
    one = bss_eval_sources(references[1, 2], estimates[1, 2], filter_length=32)
    two = bss_eval_images(references[1, 2], estimates[1, 2], 500, 500, filter_length=32)
    assert np.array_equal(sources.sar[1, 2], one.sar)
    assert np.array_equal(images.sir[1, 2], two.sir)


@pytest.mark.parametrize("factor", [1e160, 1e-170, 1e300, 5e-310])
def test_scores_do_not_depend_on_a_level_whose_squares_do_not_exist(factor):
    rng = np.random.default_rng(0)
    references = rng.standard_normal((2, 1, 4000))
    estimates = references + 0.1 * rng.standard_normal(references.shape) + 0.1 * references[::-1]
    plain = bss_eval_sources(references, estimates, 32)
    scaled = bss_eval_sources(references * factor, estimates * factor, 32)
    tolerance = 1e-6 if factor > 1e-300 else 0.1  # below it numbers have a few digits left
    for name in ("sdr", "sir", "sar"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), abs=tolerance)
    windows = [bss_eval_images(f * references, f * estimates, 1000, 1000, 32) for f in (1, factor)]
    assert windows[1].isr == pytest.approx(windows[0].isr, abs=tolerance)


@pytest.mark.parametrize("factor", [1e160, 1e-160])
def test_levels_that_no_float_holds_beside_each_other_are_refused(factor):
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((2, 1, 4000))
    unlike = signals * np.array([1.0, factor])[:, None, None]
    with pytest.raises(BenchError, match="references of one track differ in level"):
        bss_eval_sources(unlike, signals, 32)
    with pytest.raises(BenchError, match="estimates and references differ in level"):
        bss_eval_sources(signals, unlike, 32)


@pytest.mark.parametrize("sdr", [0, 20, 40, 60])
def test_single_precision_gives_the_same_scores_to_a_thousandth_of_a_decibel(test_track, sdr):
    references = np.stack([test_track.references[t] for t in ("vocals", "accompaniment")])
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(references.shape)
    noise *= np.linalg.norm(references[0]) / np.linalg.norm(noise[0])
    # Each kind of error at the same level: noise, the other source, and a wrong gain.
    error = 10 ** (-sdr / 20) * (noise + references[::-1] + references)
    both = references, references + error
    single = [signals.astype(np.float32) for signals in both]
    scorers = {
        bss_eval_sources: ("sdr", "sir", "sar"),
        lambda r, e: bss_eval_images(r, e, 8000, 8000): ("sdr", "isr", "sir", "sar"),
    }
    for scorer, names in scorers.items():
        exact, rounded = scorer(*both), scorer(*single)
        for name in names:
            one, two = getattr(exact, name), getattr(rounded, name)
            within = np.isfinite(one) & (one <= 66)
            assert within.mean() > 0.5, f"{name}: nothing to compare"
            assert np.abs(one - two)[within].max() < 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_scores():
    rng = np.random.default_rng(0)
    references = rng.standard_normal((2, 2, 20_000))
    estimates = references + 0.5 * rng.standard_normal(references.shape)
    on_cuda = [torch.from_numpy(x).cuda() for x in (references, estimates)]
    for scorer in (bss_eval_sources, lambda r, e: bss_eval_images(r, e, 5000, 5000)):
        one, two = scorer(references, estimates), scorer(*on_cuda)
        assert np.abs(one.sdr - two.sdr).max() < DB


def test_a_gain_or_an_allowed_filter_costs_nothing():
    rng = np.random.default_rng(0)
    references = rng.standard_normal((2, 1, 5000))
    estimates = references + 0.3 * rng.standard_normal(references.shape)
    one = bss_eval_sources(references, estimates)
    two = bss_eval_sources(references, -7e3 * estimates)
    assert np.abs(one.sdr - two.sdr).max() < DB
    quiet = references.copy()
    quiet[..., -603:] = 0  # so that no delayed copy is cut
    assert (
        bss_eval_sources(quiet, np.pad(quiet, ((0, 0), (0, 0), (3, 0)))[..., :5000]).sdr > 120
    ).all()


def test_a_perfect_estimate_scores_infinity_and_a_silent_one_is_undefined():
    references = np.random.default_rng(0).standard_normal((2, 1, 4000))
    perfect = bss_eval_sources(references, references)
    assert all((score == np.inf).all() for score in (perfect.sdr, perfect.sir, perfect.sar))
    silent = references.copy()
    silent[0] = 0
    scores = bss_eval_sources(references, silent)
    assert np.isnan(scores.sdr[0])
    assert scores.sdr[1] == np.inf


def test_a_silent_reference_is_undefined_and_does_not_blank_the_other():
    rng = np.random.default_rng(0)
    references = rng.standard_normal((2, 1, 4000))
    references[0] = 0
    scores = bss_eval_sources(references, rng.standard_normal(references.shape))
    assert np.isnan([scores.sdr[0], scores.sir[0], scores.sar[0]]).all()
    assert np.isfinite(scores.sdr[1])
    assert scores.sir[1] == np.inf


def test_stereo_in_anti_phase_is_not_silence():
    rng = np.random.default_rng(0)
    mono = rng.standard_normal((2, 1, 4000))
    references = np.concatenate([mono, -mono], axis=1)
    scores = bss_eval_sources(references, references + 0.1 * rng.standard_normal(references.shape))
    assert np.isfinite(scores.sdr).all()
    assert (scores.sdr > 10).all()


def test_interference_80_db_down_is_found_without_cancellation():
    rng = np.random.default_rng(0)
    references = rng.standard_normal((2, 1, 8000))
    estimates = references + 1e-4 * references[::-1]
    scores = bss_eval_sources(references, estimates)
    assert np.abs(scores.sir - 80).max() < 0.5  # the two share a little by chance
    sdr, sir, _ = mir_eval_sources(references[:, 0], estimates[:, 0])
    assert np.abs(scores.sir - sir).max() < DB
    assert np.abs(scores.sdr - sdr).max() < DB


def test_zero_channels_equal_channels_and_tracks_shorter_than_the_filters_are_scored():
    rng = np.random.default_rng(0)
    mono = rng.standard_normal((2, 1, 3000))
    for references in (
        np.concatenate([mono, 0 * mono], axis=1),
        np.concatenate([mono, mono], axis=1),
        mono[..., :300],
    ):
        estimates = references + 0.1 * rng.standard_normal(references.shape)
        sources = bss_eval_sources(references, estimates)
        images = bss_eval_images(references, estimates, 1000, 1000)
        for scores in (sources, images):
            assert not np.isnan(scores.sdr).any()
            assert (scores.sdr > 15).all()


def test_an_estimate_of_zeros_scores_0_db_in_version_4_and_its_filters_nothing():
    references = np.random.default_rng(0).standard_normal((2, 1, 4000))
    scores = bss_eval_images(references, np.zeros_like(references), 1000, 1000)
    assert np.abs(scores.sdr).max() < DB
    assert np.abs(scores.isr).max() < DB
    assert np.isnan(scores.sir).all()


def test_perfect_estimates_are_infinite_in_version_4():
    references = np.random.default_rng(0).standard_normal((2, 2, 4000))
    scores = bss_eval_images(references, references, 1000, 1000)
    assert (scores.sdr == np.inf).all()
    assert (scores.sar == np.inf).all()


def test_samples_of_half_precision_whose_sum_overflows_are_scored():
    references = np.random.default_rng(0).standard_normal((2, 1, 160_000)) + 0.5
    estimates = references + 0.1 * np.random.default_rng(1).standard_normal(references.shape)
    scores = bss_eval_sources(*(x.astype(np.float16) for x in (references, estimates)))
    assert scores.sdr == pytest.approx(bss_eval_sources(references, estimates).sdr, abs=0.01)


def test_sources_that_are_copies_of_each_other_are_scored():
    source = np.random.default_rng(0).standard_normal((1, 1, 4000))
    references = np.concatenate([source, 0.5 * source])
    noise = 0.1 * np.random.default_rng(1).standard_normal(references.shape)
    scores = bss_eval_sources(references, references + noise)
    assert np.isfinite(scores.sdr).all()
    assert (scores.sir > 60).all()  # the other source explains nothing more


def test_scores_of_several_estimates_share_one_preparation():
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((2, 1, 3000))
    references = References(signals)
    for _ in range(2):
        estimates = signals + rng.standard_normal(signals.shape)
        alone, shared = bss_eval_sources(signals, estimates), references.score_sources(estimates)
        assert np.array_equal(alone.sdr, shared.sdr)


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        (np.ones((2, 1, 50)), np.ones((2, 1, 49)), "estimates have shape"),
        (np.ones((2, 50)), np.ones((2, 50)), "references have shape"),
        (np.ones((3, 2, 1, 9)), np.ones((4, 2, 1, 9)), "estimates have shape"),
        (np.ones((2, 1, 50)), np.full((2, 1, 50), np.nan), "NaN"),
    ],
)
def test_signals_that_cannot_be_scored_are_refused(references, estimates, message):
    with pytest.raises(BenchError, match=message):
        bss_eval_sources(references, estimates)
