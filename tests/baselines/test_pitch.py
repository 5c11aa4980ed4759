from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mir_eval import melody

from baselines.algorithms.pitch import (
    comb,
    label_of_frames,
    pitch_of_sparse_voice,
    pitch_track,
)
from baselines.pitch import PitchMask, PitchOracle
from bench import stft
from bench.datasets import open_dataset
from bench.datasets.synthetic import Synthetic
from bench.methods import chunks
from bench.track import TARGETS, Track

RATE = 16_000


def duet():
    """A voice at 220 Hz (semitone 57) over an accompaniment at 330 Hz."""
    t = np.arange(2 * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * 220 * k * t) / k for k in (1, 2, 4, 5))
    other = np.sin(2 * np.pi * 330 * t) + np.sin(2 * np.pi * 990 * t)
    return Track("duet", RATE, {"vocals": voice[None], "accompaniment": other[None]})


def snr(reference, estimate):
    return 10 * np.log10((reference**2).sum() / ((reference - estimate) ** 2).sum())


def test_a_comb_holds_the_harmonics_and_nothing_of_unvoiced_frames():
    mask = comb(np.array([200.0, 0.0, 310.0]), 513, RATE, 70.0)
    hertz = np.linspace(0, 8000, 513)
    for frame, pitch in ((0, 200.0), (2, 310.0)):
        away = np.abs(hertz - np.maximum(np.round(hertz / pitch), 1) * pitch)
        assert np.array_equal(mask[:, frame], away <= 35)
    assert not mask[:, 1].any()
    assert not mask[hertz < 100].any()


def test_a_sung_note_is_tracked_and_silence_is_unvoiced():
    time = np.arange(RATE) / RATE
    note = sum(np.sin(2 * np.pi * h * 220 * time) / h for h in range(1, 6)) * (time > 0.5)
    pitch = pitch_track(note, RATE, 1024, 512)
    assert np.median(pitch[20:30]) == pytest.approx(220, rel=0.01)
    assert (pitch[:12] <= 0).all()
    assert not pitch_track(np.zeros(RATE), RATE, 1024, 512).any()


@pytest.mark.parametrize(
    ("rate", "n_fft", "hop"), [(1000, 1024, 512), (5500, 1024, 512), (16_000, 4096, 2048)]
)
def test_a_low_rate_or_a_long_hop_is_tracked_all_the_same(rate, n_fft, hop):
    time = np.arange(4 * rate) / rate
    note = sum(np.sin(2 * np.pi * h * 150 * time) / h for h in range(1, 4))
    pitch = pitch_track(note, rate, n_fft, hop)
    assert np.median(np.abs(pitch[pitch != 0])) == pytest.approx(150, rel=0.02)


def test_a_comb_keeps_a_voice_and_leaves_a_noise_between_its_harmonics():
    time = np.arange(2 * RATE) / RATE
    voice = 0.1 * sum(np.sin(2 * np.pi * h * 330 * time) / h for h in range(1, 8))[None]
    noise = 0.02 * np.random.default_rng(0).standard_normal((1, 2 * RATE))
    estimate = PitchMask().separate(voice + noise, RATE)["vocals"]
    assert np.sum((estimate - voice) ** 2) < 0.5 * np.sum(noise**2)


def test_the_track_of_the_sparse_voice_is_right_far_more_often_than_that_of_the_mixture(shared):
    """Raw pitch accuracy against the labels, by mir_eval, on clips of training songs."""
    accuracy: dict[str, list[float]] = {"voice": [], "mixture": []}
    hop, n_fft = 256, 1024
    for track in open_dataset("mir1k_held_out_songs", shared / "data").tracks("test")[::9]:
        channel = stft.forward(track.mixture, n_fft, hop)[0]
        times_s = (np.arange(channel.shape[1]) - stft.lead(n_fft, hop)) * hop / track.rate
        labels = label_of_frames(track.pitch, track.rate, n_fft, hop, track.n_samples)
        tracks = {
            "voice": pitch_of_sparse_voice(channel, track.rate, n_fft, hop),
            "mixture": pitch_track(track.mixture[0], track.rate, n_fft, hop),
        }
        for name, pitch in tracks.items():
            scores = melody.evaluate(times_s, labels, times_s, pitch)
            accuracy[name].append(scores["Raw Pitch Accuracy"])
    voice, mixture = (float(np.mean(accuracy[name])) for name in ("voice", "mixture"))
    print(f"raw pitch accuracy: {voice:.2f} on the sparse voice, {mixture:.2f} on the mixture")
    assert voice > 0.35
    assert voice > 1.5 * mixture


def test_the_pitch_of_a_voice_is_found_over_a_louder_loop():
    """A repeating loop that is louder than the voice misleads the track of the mixture."""
    track = next(iter(Synthetic().tracks("test")))
    mixture = track.references["vocals"] + 2 * track.references["accompaniment"]
    channel = stft.forward(mixture, 1024, 256)[0]
    true = pitch_track(track.references["vocals"][0], track.rate, 1024, 256)
    sung = true > 0
    tracked = {
        "voice": pitch_of_sparse_voice(channel, track.rate, 1024, 256),
        "mixture": pitch_track(mixture[0], track.rate, 1024, 256),
    }
    right = {
        name: float(
            np.mean(np.abs(np.log2(np.maximum(pitch, 1) / np.maximum(true, 1)))[sung] < 1 / 24)
        )
        for name, pitch in tracked.items()
    }
    print(right)
    assert right["voice"] > right["mixture"]


def test_the_first_label_stands_20_ms_into_the_clip():
    pitch = label_of_frames(np.array([69.0, 0.0, 81.0]), RATE, 640, 320, n_samples=6 * 320 - 320)
    assert np.allclose(pitch, [0, 440, 0, 880, 0, 0])


def test_a_pitch_belongs_to_the_frame_in_whose_middle_it_sounds():
    """A glide is tracked at the true pitch of each frame's centre, whatever the overlap."""
    time_s = np.arange(2 * RATE) / RATE
    octaves_per_s = 0.5
    true = 200 * 2 ** (octaves_per_s * time_s)
    phase = 2 * np.pi * np.cumsum(true) / RATE
    glide = sum(np.sin(h * phase) / h for h in range(1, 6))
    for hop in (512, 256, 128):
        pitch = pitch_track(glide, RATE, 1024, hop)
        start_of_frame = np.arange(len(pitch)) * hop - (1024 - hop)
        centre = start_of_frame + 512
        inside = (centre > 4096) & (centre < len(glide) - 4096)
        cents = 1200 * np.log2(pitch[inside] / true[centre[inside]])
        print(hop, np.mean(cents))
        # A track that is 256 samples late would be 9.6 cents off.
        assert abs(np.mean(cents)) < 3
        labels = 69 + 12 * np.log2(true[::320][1:] / 440)
        labelled = label_of_frames(labels, RATE, 1024, hop, len(glide))
        cents = 1200 * np.log2(labelled[inside] / true[centre[inside]])
        assert abs(np.mean(cents)) < 3


def test_frames_of_an_excerpt_meet_the_labels_of_their_place_in_the_piece():
    labels = np.arange(60.0, 85.0)
    whole = label_of_frames(labels, RATE, 640, 320, n_samples=19 * 320)
    excerpt = label_of_frames(labels, RATE, 640, 320, n_samples=11 * 320, start=8 * 320)
    assert np.array_equal(excerpt, whole[8:])


def test_the_bound_at_the_labels_is_the_same_in_chunks_as_on_the_whole_song(monkeypatch):
    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.uniform(50, 70, 45), 25)  # a new pitch every half second
    sources = {t: rng.standard_normal((1, 22 * RATE)) for t in TARGETS}
    track, method = Track("song", RATE, sources, labels), PitchOracle()
    assert len(chunks.cuts(track.n_samples, 1, RATE, method.alignment(RATE))) > 1
    in_chunks = chunks.separate_track(method, track)["vocals"]
    whole = method.separate_track(track)["vocals"]
    np.testing.assert_allclose(in_chunks, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


def test_the_labelled_pitch_separates_a_voice_that_another_pitch_loses():
    track = duet()
    right = dataclasses.replace(track, pitch=np.full(99, 57.0))
    wrong = dataclasses.replace(track, pitch=np.full(99, 61.5))
    voice = track.references["vocals"]
    right_snr = snr(voice, PitchOracle().separate_track(right)["vocals"])
    assert right_snr > 8
    assert right_snr > snr(voice, PitchOracle().separate_track(wrong)["vocals"]) + 6


def test_without_labels_the_bound_follows_the_true_voice():
    gains = []
    for track in Synthetic().tracks("test"):
        voice = track.references["vocals"]
        bound = snr(voice, PitchOracle().separate_track(track)["vocals"])
        blind = snr(voice, PitchMask().separate(track.mixture, track.rate)["vocals"])
        gains.append(bound - blind)
    assert np.mean(gains) > 0.5
