from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.errors import BenchError
from bench.scoring.aggregate import over_tracks
from bench.scoring.bss_eval.api import bss_eval_sources
from bench.scoring.protocols import protocol, score_track
from bench.track import TARGETS, Track


def noisy(track: Track, level: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1234)
    scale = level * np.abs(track.mixture).std()
    return {t: r + scale * rng.standard_normal(r.shape) for t, r in track.references.items()}


def frame(track: Track, estimates) -> pd.DataFrame:
    return pd.DataFrame(score_track("bss_eval_v3", track, estimates))


def test_mixture_scores_zero_nsdr(test_track):
    scores = frame(test_track, dict.fromkeys(TARGETS, test_track.mixture))
    assert (scores.query("metric == 'nsdr'")["value"] == 0).all()


def test_nsdr_is_sdr_of_the_estimate_less_sdr_of_the_mixture(test_track):
    scores = frame(test_track, noisy(test_track, 0.3)).set_index(["target", "metric"])["value"]
    references = np.stack([test_track.references[t] for t in TARGETS])
    mixture = bss_eval_sources(references, np.stack([test_track.mixture] * 2))
    for j, target in enumerate(TARGETS):
        assert scores[target, "nsdr"] == scores[target, "sdr"] - mixture.sdr[j]


def test_each_metric_and_target_has_its_own_number(test_track):
    scores = frame(test_track, noisy(test_track, 0.3))
    assert len(scores) == 8
    assert scores["value"].nunique() == 8
    assert set(scores["n_samples"]) == {test_track.n_samples}


def test_a_silent_source_is_undefined_and_no_error():
    rng = np.random.default_rng(0)
    track = Track(
        "a",
        16_000,
        {"vocals": np.zeros((1, 4000)), "accompaniment": rng.standard_normal((1, 4000))},
    )
    scores = frame(track, {t: rng.standard_normal((1, 4000)) for t in TARGETS})
    assert scores.query("target == 'vocals'")["value"].isna().all()
    over = over_tracks(scores).set_index(["target", "metric"])
    assert over.loc[("vocals", "gsir"), "n_undefined"] == 1
    assert np.isnan(over.loc[("vocals", "gsir"), "value"])


def test_an_estimate_that_is_missing_or_no_number_is_refused(test_track):
    good = noisy(test_track, 0.1)
    with pytest.raises(BenchError, match="no estimate of accompaniment"):
        frame(test_track, {"vocals": good["vocals"]})
    good["vocals"][0, 5] = np.nan
    with pytest.raises(BenchError, match="NaN"):
        frame(test_track, good)


def stereo_song(rng, seconds=3, rate=1000):
    shape = (2, seconds * rate)
    return Track("s", rate, {t: rng.standard_normal(shape) for t in TARGETS})


def values(name, track, estimates, metric, target="vocals"):
    rows = pd.DataFrame(score_track(name, track, estimates))
    chosen = rows[(rows["metric"] == metric) & (rows["target"] == target)]
    return chosen.sort_values("window")["value"].to_numpy()


def test_windows_last_a_second_at_the_tracks_own_rate():
    track = stereo_song(np.random.default_rng(0))
    assert len(values("bss_eval_v4", track, noisy(track, 0.3), "sdr")) == 3
    assert len(values("museval", track, noisy(track, 0.3), "sdr")) == 1  # 44,100 samples


def test_a_window_is_undefined_for_the_target_that_is_silent_in_it_and_no_other():
    track = stereo_song(np.random.default_rng(0))
    track.references["vocals"][:, 1000:2000] = 0
    estimates = noisy(track, 0.3)
    assert np.isnan(values("bss_eval_v4", track, estimates, "sdr")).tolist() == [False, True, False]
    assert np.isfinite(values("bss_eval_v4", track, estimates, "sdr", "accompaniment")).all()
    rows = pd.DataFrame(score_track("bss_eval_v4", track, estimates))
    over = over_tracks(rows).set_index(["target", "metric"])
    assert over.loc[("vocals", "sdr"), "n_undefined"] == 1
    assert over.loc[("vocals", "sdr"), "n_tracks"] == 1


def test_a_window_with_nothing_but_rounding_noise_in_it_is_silent():
    track = stereo_song(np.random.default_rng(0))
    track.references["vocals"][:, 1000:2000] *= 1e-7
    sdr = values("bss_eval_v4", track, noisy(track, 0.3), "sdr")
    assert np.isnan(sdr).tolist() == [False, True, False]


def long_song(seconds=3):
    rng = np.random.default_rng(0)
    shape = (2, seconds * 44_100)
    return Track("l", 44_100, {t: rng.standard_normal(shape) for t in TARGETS})


def test_museval_blanks_a_window_for_all_and_takes_anti_phase_for_silence():
    track = long_song()
    track.references["vocals"][:, 44_100:88_200] = 0
    estimates = noisy(track, 0.3)
    for target in TARGETS:
        sdr = values("museval", track, estimates, "sdr", target)
        assert np.isnan(sdr).tolist() == [False, True, False]
    track = long_song()
    voice = track.references["vocals"]
    voice[1, :44_100] = -voice[0, :44_100]
    assert np.isnan(values("museval", track, noisy(track, 0.3), "sdr")).tolist()[0]
    assert np.isfinite(values("bss_eval_v4", track, noisy(track, 0.3), "sdr")).all()


def test_museval_itself_gives_the_same_scores_with_silence_and_a_short_estimate():
    museval = pytest.importorskip("museval", reason="needs ffmpeg", exc_type=Exception)
    track = long_song(2)
    track.references["vocals"][:, :44_100] = 0
    estimates = {t: e[:, :70_000] for t, e in noisy(track, 0.3).items()}
    theirs = museval.evaluate(
        np.stack([track.references[t].T for t in TARGETS]),
        np.stack([estimates[t].T for t in TARGETS]),
    )
    for metric, other in zip(("sdr", "isr", "sir", "sar"), theirs, strict=True):
        for j, target in enumerate(TARGETS):
            ours = values("museval", track, estimates, metric, target)
            assert np.array_equal(np.isnan(ours), np.isnan(other[j]))
            assert np.nanmax(np.abs(ours - other[j])) < 1e-6


@pytest.mark.slow
def test_musevals_own_published_figures_for_a_song_are_met(shared):
    """The estimates of museval's regression test: noise of a seed, as its authors draw it."""
    import json

    musdb = pytest.importorskip("musdb", reason="needs ffmpeg", exc_type=Exception)
    path = shared / "fixtures" / "museval" / "Music Delta - 80s Rock.json"
    corpus = musdb.DB(root=shared / "data" / "MUSDB18-7", subsets="train")
    (song,) = [track for track in corpus if track.name == path.stem]
    np.random.seed(0)  # noqa: NPY002 - the draw that the figures were made with
    drawn = np.random.random(song.audio.shape)  # noqa: NPY002
    again = np.random.random(song.audio.shape)  # noqa: NPY002
    references = {t: song.targets[t].audio.T.copy() for t in TARGETS}
    track = Track(song.name, int(song.rate), references)
    estimates = dict(zip(TARGETS, (drawn.T, again.T), strict=True))
    for target in json.loads(path.read_text())["targets"]:
        for metric in ("SDR", "ISR", "SIR", "SAR"):
            theirs = [frame["metrics"][metric] for frame in target["frames"]]
            ours = values("museval", track, estimates, metric.lower(), target["name"])
            assert np.abs(ours - theirs).max() < 1.1e-5  # the file has five decimals


def test_an_estimate_is_filled_or_cut_to_the_length_of_its_reference(test_track):
    long = {t: np.pad(e, ((0, 0), (0, 99))) for t, e in noisy(test_track, 0.3).items()}
    short = {t: e[:, : test_track.n_samples] for t, e in long.items()}
    assert frame(test_track, long).equals(frame(test_track, short))
    cut = {t: e[:, :9000] for t, e in short.items()}
    filled = {t: np.pad(e, ((0, 0), (0, test_track.n_samples - 9000))) for t, e in cut.items()}
    assert frame(test_track, cut).equals(frame(test_track, filled))
    with pytest.raises(BenchError, match="has shape"):
        frame(test_track, {t: np.concatenate([e, e]) for t, e in short.items()})


def test_usdr_and_si_sdr_are_their_formulas():
    track = stereo_song(np.random.default_rng(1))
    estimates = {t: 0.5 * e for t, e in noisy(track, 0.2).items()}
    s, e = track.references["vocals"], estimates["vocals"]
    plain = 10 * np.log10((np.sum(s**2) + 1e-7) / (np.sum((s - e) ** 2) + 1e-7))
    assert values("usdr", track, estimates, "usdr")[0] == pytest.approx(plain, abs=1e-9)
    a = np.sum(s * e) / np.sum(s**2)
    scaled = 10 * np.log10(np.sum((a * s) ** 2) / np.sum((a * s - e) ** 2))
    assert values("si_sdr", track, estimates, "si_sdr")[0] == pytest.approx(scaled, abs=1e-9)
    louder = {t: 7 * e for t, e in estimates.items()}
    assert values("si_sdr", track, louder, "si_sdr")[0] == pytest.approx(scaled, abs=1e-9)
    mixture = dict.fromkeys(TARGETS, track.mixture)
    assert values("si_sdr", track, mixture, "si_sdri")[0] == 0


@pytest.mark.parametrize("name", ["bss_eval_v3", "bss_eval_v4", "usdr", "si_sdr"])
def test_a_wholly_silent_reference_is_undefined_under_every_protocol(name):
    track = stereo_song(np.random.default_rng(0))
    track.references["vocals"][:] = 0
    rows = pd.DataFrame(score_track(name, track, noisy(track, 0.3)))
    assert rows.query("target == 'vocals'")["value"].isna().all()
    # A gain over the mixture is undefined too: the mixture is the accompaniment, and perfect.
    other = rows.query("target == 'accompaniment' and metric not in ('nsdr', 'si_sdri')")
    assert other["value"].notna().all()


@pytest.mark.parametrize("name", ["bss_eval_v3", "bss_eval_v4", "usdr", "si_sdr"])
def test_a_silent_estimate_of_an_audible_reference_has_no_undefined_score(name):
    track = stereo_song(np.random.default_rng(0))
    rows = pd.DataFrame(score_track(name, track, dict.fromkeys(TARGETS, track.mixture * 0)))
    assert rows["value"].notna().all()
    if name in ("bss_eval_v3", "si_sdr"):
        assert (rows["value"] == -np.inf).all()
    if name == "bss_eval_v4":  # the ratio of reference to error exists: it is 1
        assert (rows.query("metric == 'sdr'")["value"] == 0).all()
        assert (rows.query("metric == 'sar'")["value"] == -np.inf).all()


@pytest.mark.parametrize("factor", [1e160, 1e-170])
def test_a_track_of_a_level_without_squares_is_refused_in_one_line(factor):
    track = stereo_song(np.random.default_rng(0))
    loud = Track("s", track.rate, {t: a * factor for t, a in track.references.items()})
    with pytest.raises(BenchError, match="has a peak beyond 1e±100"):
        score_track("usdr", loud, dict.fromkeys(TARGETS, loud.mixture))


def test_silencing_the_hardest_of_three_tracks_ends_a_row_and_never_raises_it():
    rng = np.random.default_rng(0)
    tracks = [
        Track(n, 8000, {t: rng.standard_normal((1, 8000)) for t in TARGETS})
        for n in ("a", "b", "c")
    ]
    noises = {"a": 0.2, "b": 0.3, "c": 3.0}
    estimates = {track.name: noisy(track, noises[track.name]) for track in tracks}

    def gnsdr():
        rows = [r for t in tracks for r in score_track("bss_eval_v3", t, estimates[t.name])]
        over = over_tracks(pd.DataFrame(rows)).set_index(["target", "metric"])
        return over.loc[("vocals", "gnsdr"), ["value", "n_undefined"]]

    honest = gnsdr()
    estimates["c"] = {target: 0 * audio for target, audio in estimates["c"].items()}
    silenced = gnsdr()
    assert np.isfinite(honest["value"])
    assert silenced["value"] == -np.inf
    assert silenced["n_undefined"] == 0


def test_an_unknown_protocol_is_refused_with_the_nearest_name():
    with pytest.raises(BenchError, match="did you mean 'bss_eval_v3'"):
        protocol("bss_eval_3")
