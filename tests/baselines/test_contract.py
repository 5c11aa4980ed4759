"""The promises of `bench.methods.separator`, held by every method in the table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.methods import chunks, registry
from bench.methods.context import FitContext
from bench.methods.oracle import Oracle
from bench.methods.separator import MaskSeparator, Separator
from bench.track import TARGETS, Track
from tests.conftest import cut

#: Values that make a method quick, by method.
QUICK = {
    "rpcah_fasst": {"drums": 4, "voices": 6, "iterations": 10},
    "hsu_jang": {"filters": 12, "components": 3, "unit_components": 2},
    "mlrr": {"atoms": 6, "iterations": 3},
    "rnmf": {"atoms": 4, "iterations": 10},
    "rnmf_supervised": {"atoms": 4, "epochs": 1},
    "repet": {"shortest_s": 0.15, "longest_s": 0.35},
    "repet_sim": {"apart_s": 0.1},
    "nmf": {"atoms": 4, "iterations": 15},
    "drnn": {"hidden": 12, "layers": 2, "epochs": 2, "frames": 10, "batch_size": 2},
    "blstm": {"hidden": 12, "layers": 2, "epochs": 2, "frames": 10, "batch_size": 2},
    "unet": {"channels": 2, "levels": 3, "epochs": 2, "frames": 16, "batch_size": 2},
    "hourglass": {
        "channels": 2,
        "levels": 2,
        "stacks": 2,
        "epochs": 2,
        "frames": 8,
        "batch_size": 2,
    },
    "tfc_tdf": {"channels": 2, "levels": 2, "bands": 2, "epochs": 2, "frames": 8, "batch_size": 2},
}
#: Another value for each field of a network whose sequences have a length of their own.
TRAINING = {
    "n_fft": 2048,
    "hop": 256,
    "gamma": 0.3,
    "objective": "kl",
    "reference": "phase_sensitive",
    "mask": "square",
    "test_mask": "binary",
    "shift": 1000,
    "pairing": "own",
    "gain_db": 12.0,
    "polarity": True,
    "spectral_mask": 0.5,
    "pitch_semitones": 2.0,
    "tempo_change": 0.1,
    "average": 0.9,
    "ensemble": 2,
    "recipe": "lbfgs",
    "epochs": 3,
    "select": "last",
    "patience": 1,
    "batch_size": 3,
    "frames": 24,
    "learning_rate": 1e-2,
    "clip_norm": 1e-3,
    "precision": "bfloat16",
    "seed": 1,
}
#: Another value for each hyperparameter, and what else to set so that it can matter.
OTHER = {
    "ideal_binary_mask": {"n_fft": 2048, "hop": 256},
    "ideal_ratio_mask": {"n_fft": 2048, "hop": 256, "power": 2, "cutoff_hz": 2_000},
    "phase_sensitive_mask": {"n_fft": 2048, "hop": 256},
    "multichannel_wiener": {"n_fft": 2048, "hop": 256},
    "pitch_oracle": {"n_fft": 2048, "hop": 256, "width": 40.0},
    "rpcah": {"n_fft": 512, "hop": 512, "k": 1.5, "pull": 0.5, "width": 40.0},
    "rpcah_fasst": {
        "n_fft": 512,
        "hop": 512,
        "k": 1.5,
        "pull": 0.5,
        "width": 40.0,
        "drums": 5,
        "voices": 4,
        "iterations": 7,
        "seed": 1,
    },
    "mlrr": {
        "n_fft": 2048,
        "hop": 256,
        "atoms": 5,
        "iterations": 4,
        "beta": 3.0,
        "weight": 0.3,
        "seed": 1,
    },
    "rnmf": {
        "n_fft": 2048,
        "hop": 256,
        "atoms": 5,
        "ridge": 5.0,
        "weight": 0.3,
        "iterations": 11,
        "seed": 1,
    },
    "rnmf_supervised": {
        **TRAINING,
        "mask": "none",
        "atoms": 5,
        "ridge": 2.0,
        "weight": 0.3,
        "epochs": 2,
        "select": "best",
        "batch_size": 1,
        "frames": 11,
    },
    "hsu_jang": {
        "n_fft": 2048,
        "hop": 512,
        "filters": 14,
        "components": 2,
        "unit_components": 1,
        "evidence": 0.01,
        "sharpness": 0.1,
        "subtraction": 1.0,
        "span_s": 0.2,
        "seed": 1,
    },
    "pitch": {"n_fft": 2048, "hop": 256, "width": 40.0, "tracked": "mixture"},
    "repet": {
        "n_fft": 2048,
        "hop": 512,
        "form": "adaptive",
        "shortest_s": 0.3,
        "longest_s": 0.16,
        "window_s": 0.4,
        "repeats": 3,
    },
    "repet_sim": {"n_fft": 2048, "hop": 512, "similar": 5, "apart_s": 0.3},
    "hpss": {"long_ms": 128.0, "short_ms": 16.0, "kernel": 31},
    "rpca": {
        "n_fft": 512,
        "hop": 512,
        "mask": "binary",
        "gain": 2.0,
        "k": 1.5,
        "rho": 1.2,
        "window": "hann",
    },
    "nmf": {
        "n_fft": 2048,
        "hop": 256,
        "form": "semi",
        "divergence": "is",
        "atoms": 5,
        "iterations": 16,
        "seed": 1,
    },
    "drnn": {
        **TRAINING,
        "recurrent": "all",
        "outputs": 1,
        "features": "log_mel",
        "context": 1,
        "hidden": 13,
        "layers": 3,
        "frames": 11,
    },
    "blstm": {**TRAINING, "hidden": 14, "layers": 1, "dropout": 0.1},
    "unet": {**TRAINING, "channels": 3, "levels": 2},
    "hourglass": {**TRAINING, "channels": 4, "levels": 1, "stacks": 1},
    "tfc_tdf": {
        **TRAINING,
        "channels": 3,
        "levels": 1,
        "convolutions": 1,
        "bands": 4,
        "bottleneck": 4,
    },
}
#: What a hyperparameter needs to matter, or to be allowed. Patience: steps so large that the dev
#: figure cannot rise at every epoch.
SETTING = {
    ("repet", "window_s"): {"form": "adaptive"},
    ("repet", "repeats"): {"form": "adaptive"},
    # Few of the clips' frames are unvoiced.
    ("hsu_jang", "unit_components"): {"components": 1},
    ("hsu_jang", "seed"): {"evidence": 0.03},
    ("drnn", "patience"): {"epochs": 12, "learning_rate": 0.5},
    ("drnn", "select"): {"epochs": 4, "learning_rate": 0.5},
    ("drnn", "precision"): {"precision": "float32"},
    ("drnn", "outputs"): {"mask": "none"},
    ("rnmf_supervised", "select"): {"epochs": 6, "learning_rate": 0.5},
    ("rnmf_supervised", "patience"): {"select": "best", "epochs": 12, "learning_rate": 0.5},
    ("rnmf_supervised", "average"): {"epochs": 3},
    ("rnmf_supervised", "recipe"): {"shift": 1000, "pairing": "own"},
    ("drnn", "recipe"): {"shift": 1000, "pairing": "own"},
}
for _network in ("blstm", "unet", "hourglass", "tfc_tdf"):
    SETTING |= {
        (_network, "patience"): {"epochs": 12, "learning_rate": 0.5},
        (_network, "select"): {"epochs": 4, "learning_rate": 0.5},
        (_network, "precision"): {"precision": "float32"},
        (_network, "recipe"): {"shift": 1000, "pairing": "own", "epochs": 1},
    }
EXACT = 1e-12  # float64 rounding; the clips have unit norm

ALL = list(registry.table())
CASES = [(name, field) for name in ALL for field in registry.fields(registry.find_method(name))]


def build(name: str, **values) -> Separator:
    return registry.make(registry.find_method(name), {**QUICK.get(name, {}), **values}, name)


def separated(method: Separator, track: Track) -> dict[str, np.ndarray]:
    if isinstance(method, Oracle):
        return method.separate_track(track)
    return method.separate(track.mixture, track.rate)


class Steps(FitContext):
    """Counts the steps that training told."""

    def __init__(self):
        self.steps = 0

    def log_metrics(self, step, values):
        self.steps += 1


@pytest.fixture(scope="module")
def fitted(tracks, dev):
    return {name: build(name).fit(tracks, dev) for name in ALL}


@pytest.fixture(scope="module")
def stereo(test_track) -> Track:
    gains = {"vocals": [[1.0], [0.8]], "accompaniment": [[0.5], [1.0]]}
    references = {t: test_track.references[t] * np.array(gains[t]) for t in TARGETS}
    return Track("stereo", test_track.rate, references)


def scaled(track: Track, gain: float) -> Track:
    return Track(track.name, track.rate, {t: gain * track.references[t] for t in TARGETS})


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", ["mono", "stereo"])
@pytest.mark.parametrize("gain", [1e-6, 1.0, 1e5])
def test_estimates_are_exactly_the_targets_and_the_mixture_is_untouched(
    fitted, test_track, stereo, name, channels, gain
):
    track = scaled(test_track if channels == "mono" else stereo, gain)
    method = fitted[name]
    before = method.hyperparameters()
    mixture = track.mixture
    copy = mixture.copy()
    if isinstance(method, Oracle):
        estimates = method.separate_track(track)
    else:
        estimates = method.separate(mixture, track.rate)
    assert list(estimates) == list(TARGETS)
    for estimate in estimates.values():
        assert estimate.shape == mixture.shape
        assert estimate.dtype == np.float64
        assert np.isfinite(estimate).all()
    assert np.array_equal(mixture, copy)
    assert method.hyperparameters() == before
    if isinstance(method, MaskSeparator):
        total = sum(estimates.values())
        assert np.abs(total - mixture).max() < EXACT * gain


@pytest.mark.parametrize("name", ALL)
def test_silence_in_gives_silence_out(fitted, test_track, name):
    silent = {t: np.zeros((2, 9000)) for t in TARGETS}
    estimates = separated(fitted[name], Track("silence", test_track.rate, silent))
    assert all((estimate == 0).all() for estimate in estimates.values())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n_samples", [1, 100, 1500])
def test_audio_shorter_than_a_window_is_separated(fitted, test_track, name, n_samples):
    references = {t: test_track.references[t][:, 5000 : 5000 + n_samples] for t in TARGETS}
    estimates = separated(fitted[name], Track("short", test_track.rate, references))
    assert all(e.shape == (1, n_samples) for e in estimates.values())
    assert all(np.isfinite(e).all() for e in estimates.values())


@pytest.mark.parametrize("name", ALL)
def test_no_track_is_remembered(fitted, test_track, stereo, name):
    method = fitted[name]
    first = separated(method, test_track)
    separated(method, stereo)
    again = separated(method, test_track)
    assert all(np.array_equal(first[t], again[t]) for t in TARGETS)


@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(
    fitted, tracks, dev, test_track, name
):
    torch.manual_seed(123)
    torch.rand(7)
    other = build(name).fit(tracks, dev)
    one, two = (separated(method, test_track) for method in (fitted[name], other))
    assert all(one[t].tobytes() == two[t].tobytes() for t in TARGETS)


@pytest.mark.parametrize("name", ALL)
def test_what_was_learnt_comes_back_from_a_folder(fitted, test_track, tmp_path, name):
    method = fitted[name]
    method.save(tmp_path)
    assert not list(tmp_path.glob("*.p*k*"))
    loaded = type(method).load(tmp_path)
    assert loaded.hyperparameters() == method.hyperparameters()
    one, two = separated(method, test_track), separated(loaded, test_track)
    assert all(np.array_equal(one[t], two[t]) for t in TARGETS)


FOLLOWING = [
    name
    for name in ALL
    if registry.find_method(name).followed_pitch is not Separator.followed_pitch
]


@pytest.mark.parametrize("name", FOLLOWING)
def test_a_followed_pitch_is_a_pitch_track_of_any_mixture(
    fitted, test_track, stereo, tmp_path, name
):
    method = fitted[name]
    silence = Track("silence", test_track.rate, {t: np.zeros((2, 9000)) for t in TARGETS})
    short = cut(test_track, 1, start=5000)
    for track in (test_track, stereo, silence, short):
        mixture = track.mixture
        copy = mixture.copy()
        followed = chunks.followed_pitch(method, track)
        assert np.array_equal(mixture, copy)
        assert followed.times_s[0] == 0
        assert followed.times_s[-1] <= track.duration_s + 0.1
    method.save(tmp_path)
    again = type(method).load(tmp_path).followed_pitch(test_track.mixture, test_track.rate)
    assert np.array_equal(again.hertz, chunks.followed_pitch(method, test_track).hertz)
    with pytest.raises(BenchError, match="finite"):
        method.followed_pitch(np.full((1, 900), np.nan), test_track.rate)


@pytest.mark.parametrize(("name", "field"), CASES)
def test_every_hyperparameter_changes_something(fitted, tracks, dev, test_track, name, field):
    setting = SETTING.get((name, field), {})
    told = [Steps(), Steps()]
    one = build(name, **setting).fit(tracks, dev, told[0]) if setting else fitted[name]
    two = build(name, **{**setting, field: OTHER[name][field]}).fit(tracks, dev, told[1])
    first, second = separated(one, test_track), separated(two, test_track)
    moved = any(np.abs(first[t] - second[t]).max() > 1e-9 for t in TARGETS)
    assert moved or (setting and told[0].steps != told[1].steps)


@pytest.mark.parametrize("name", ALL)
def test_a_misspelt_hyperparameter_is_refused_with_the_nearest_name(name):
    fields = registry.fields(registry.find_method(name))
    if not fields:
        with pytest.raises(BenchError, match="no hyperparameter 'x'"):
            build(name, x=1)
        return
    wrong = fields[-1] + "s"
    with pytest.raises(BenchError, match=f"no hyperparameter '{wrong}'; did you mean '"):
        build(name, **{wrong: 1})


@pytest.mark.parametrize(("name", "field"), CASES)
def test_a_hyperparameter_of_the_wrong_type_is_refused(name, field):
    with pytest.raises(BenchError, match=field):
        build(name, **{field: "nonsense"})


@pytest.mark.parametrize("name", ALL)
def test_audio_that_cannot_be_separated_is_refused(fitted, test_track, name):
    method = fitted[name]
    if isinstance(method, Oracle):
        with pytest.raises(BenchError, match="true sources"):
            method.separate(test_track.mixture, test_track.rate)
        return
    broken = test_track.mixture
    broken[0, 3] = np.inf
    for audio, message in [
        (broken, "at sample 3"),
        (np.zeros((1, 0)), "not empty"),
        (np.zeros(50), "expected"),
    ]:
        with pytest.raises(BenchError, match=message):
            method.separate(audio, test_track.rate)


@pytest.mark.parametrize("name", ALL)
def test_a_rate_that_was_not_trained_for_is_refused(fitted, test_track, name):
    method = fitted[name]
    if registry.learns(type(method)):
        with pytest.raises(BenchError, match="trained for 16000 Hz and the mixture has 44100 Hz"):
            method.separate(test_track.mixture, 44_100)
    elif not isinstance(method, Oracle):
        assert method.separate(test_track.mixture, 44_100)


@pytest.mark.parametrize("name", [n for n in ALL if registry.learns(registry.find_method(n))])
def test_an_untrained_method_says_so(test_track, name):
    with pytest.raises(BenchError, match="not trained"):
        build(name).separate(test_track.mixture, test_track.rate)


@pytest.mark.parametrize("name", [n for n in ALL if registry.learns(registry.find_method(n))])
def test_an_untrained_method_is_not_saved(tmp_path, name):
    with pytest.raises(BenchError, match="not trained"):
        build(name).save(tmp_path / "fit")
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("name", ALL)
def test_weights_of_another_method_or_version_are_refused(fitted, tmp_path, name, monkeypatch):
    cls = type(fitted[name])
    fitted[name].save(tmp_path)
    monkeypatch.setattr(cls, "VERSION", cls.VERSION + 1)
    with pytest.raises(BenchError, match="train it again"):
        cls.load(tmp_path)
    with pytest.raises(BenchError, match=r"separator\.json is missing"):
        cls.load(tmp_path / "nowhere")
    other = registry.find_method("mixture" if name != "mixture" else "hpss")
    with pytest.raises(BenchError, match=r"holds .* not "):
        other.load(tmp_path)


@pytest.mark.parametrize("name", ["nmf", "mlrr", "rpcah_fasst"])
def test_training_tracks_without_a_sound_are_refused_in_one_line(name):
    silent = {target: np.zeros((1, 9000)) for target in TARGETS}
    with pytest.raises(BenchError, match="to learn from"):
        build(name).fit([Track("silence", 16_000, silent)])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("hpss", {"kernel": 16}, "kernel must be odd, such as 17: 16"),
        ("repet", {"shortest_s": 9.0}, "shortest_s must not be above longest_s: 9.0 > 8.0"),
        ("rnmf_supervised", {"mask": "square"}, "mask"),
    ],
)
def test_values_that_make_no_sense_are_refused(name, values, message):
    with pytest.raises(BenchError, match=message):
        registry.make(registry.find_method(name), values, "here")


@pytest.mark.parametrize("name", ALL)
def test_every_field_has_a_default_and_another_value_in_this_test(name):
    cls = registry.find_method(name)
    assert set(OTHER.get(name, {})) == set(registry.fields(cls))
    assert all(f.default is not dataclasses.MISSING for f in dataclasses.fields(cls))


AFTER = [
    (name, field) for name, field in CASES if field in registry.find_method(name).AFTER_TRAINING
]


@pytest.mark.parametrize(("name", "field"), AFTER)
def test_what_matters_in_separation_alone_changes_no_training(
    fitted, tracks, dev, test_track, tmp_path, name, field
):
    other = OTHER[name][field]
    trained = build(name, **{field: other}).fit(tracks, dev)
    fitted[name].save(tmp_path)
    loaded = type(trained).load(tmp_path, **{field: other})
    one, two = separated(trained, test_track), separated(loaded, test_track)
    assert all(np.array_equal(one[t], two[t]) for t in TARGETS)


def test_only_hyperparameters_are_said_to_matter_in_separation_alone():
    for cls in map(registry.find_method, ALL):
        assert set(registry.fields(cls)) >= cls.AFTER_TRAINING


@pytest.mark.parametrize("name", ALL)
def test_stereo_at_44100_hz_is_learnt_and_separated(tracks, dev, stereo, name):
    def at_44100(track: Track) -> Track:
        return Track(track.name, 44_100, track.references)

    def panned(track: Track) -> Track:
        pan = {"vocals": [[1.0], [0.6]], "accompaniment": [[0.3], [1.0]]}
        return Track(
            track.name, 44_100, {t: track.references[t] * np.array(pan[t]) for t in TARGETS}
        )

    method = build(name).fit([panned(t) for t in tracks], [panned(t) for t in dev])
    track = at_44100(stereo)
    estimates = separated(method, track)
    assert list(estimates) == list(TARGETS)
    for estimate in estimates.values():
        assert estimate.shape == track.mixture.shape
        assert np.isfinite(estimate).all()
        assert np.abs(estimate).max() > 0
