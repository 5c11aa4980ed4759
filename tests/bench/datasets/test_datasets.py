"""MIR-1K, the synthetic corpus and others: splits, groups, digests, damaged clips refused."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from bench import datasets
from bench.datasets.dsd100 import DSD100
from bench.datasets.ikala import IKala
from bench.datasets.mir1k import DEV_CLIPS, MIR1K, split_of
from bench.datasets.musdb18 import MUSDB18
from bench.datasets.synthetic import RATE, Synthetic, make_track
from bench.errors import BenchError
from bench.track import TARGETS


def write_clip(root, name, seconds=0.3, rate=16_000, channels=2, **kwargs):
    folder = root / "MIR-1K" / "Wavfile"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(name.encode()))
    audio = 0.1 * rng.standard_normal((int(seconds * rate), channels))
    audio[:, 0] *= 0.2
    path = folder / f"{name}.wav"
    soundfile.write(path, audio, rate, **{"subtype": "PCM_16", **kwargs})
    return path


@pytest.fixture
def root(tmp_path):
    for name in ("abjones_1_01", "amy_2_03", *DEV_CLIPS, "Ani_1_01", "tammy_2_02"):
        write_clip(tmp_path, name)
    return tmp_path


def test_clips_fall_into_the_papers_split_by_singer(root):
    corpus = MIR1K(root)
    assert corpus.names("train") == ["abjones_1_01", "amy_2_03"]
    assert corpus.names("dev") == sorted(DEV_CLIPS)
    assert corpus.names("test") == ["Ani_1_01", "tammy_2_02"]
    assert split_of("amy_9_08") == "dev"


def test_clips_of_one_song_and_one_singer_are_told_by_name(root):
    groups = MIR1K(root).test_groups()
    assert groups == {"Ani_1_01": ("Ani_1", "Ani"), "tammy_2_02": ("tammy_2", "tammy")}


def test_corpora_tell_song_and_singer_as_far_as_they_know(tmp_path):
    assert IKala(tmp_path).groups("10161_chorus") == ("10161", "")
    assert MUSDB18(tmp_path).groups("ANiMAL - Rockshow") == ("ANiMAL - Rockshow", "ANiMAL")
    dsd = DSD100(tmp_path).groups("055 - Angels In Amplifiers - I'm Alright")
    assert dsd == ("055 - Angels In Amplifiers - I'm Alright", "Angels In Amplifiers")
    assert Synthetic().groups("test_00") == ("test_00", "")


def test_files_that_are_no_clips_of_the_corpus_are_passed_over(root):
    for name in ("stray_mixdown", "somebody_1_01", "Ani_1_01 copy"):
        write_clip(root, name)
    (root / "MIR-1K" / "Wavfile" / "._Ani_1_01.wav").write_bytes(b"left by a file system")
    assert MIR1K(root).names("test") == ["Ani_1_01", "tammy_2_02"]


def test_left_is_accompaniment_right_is_voice_and_both_have_unit_norm(root):
    track = MIR1K(root).load("test", "Ani_1_01")
    audio, _ = soundfile.read(root / "MIR-1K" / "Wavfile" / "Ani_1_01.wav")
    for channel, target in enumerate(("accompaniment", "vocals")):
        expected = audio[:, channel] / np.linalg.norm(audio[:, channel])
        assert np.abs(track.references[target][0] - expected).max() < 1e-15
        assert np.linalg.norm(track.references[target]) == pytest.approx(1, rel=1e-12)


def test_the_digest_is_of_names_and_contents(root):
    corpus = MIR1K(root)
    before = {split: corpus.digest(split) for split in ("train", "dev", "test")}
    assert before == {split: MIR1K(root).digest(split) for split in before}
    write_clip(root, "Ani_1_01", seconds=0.4)
    after = {split: corpus.digest(split) for split in before}
    assert after["test"] != before["test"]
    assert (after["train"], after["dev"]) == (before["train"], before["dev"])
    folder = root / "MIR-1K" / "Wavfile"
    (folder / "Ani_1_01.wav").rename(folder / "Ani_1_09.wav")
    assert MIR1K(root).digest("test") not in (before["test"], after["test"])


def test_the_clips_of_the_paper_are_all_found_here(shared):
    corpus = MIR1K(shared / "data")
    assert {s: len(corpus.names(s)) for s in ("train", "dev", "test")} == {
        "train": 171,
        "dev": 4,
        "test": 102,
    }
    track = corpus.load("test", corpus.names("test")[0])
    assert track.rate == 16_000
    assert 3 < track.duration_s < 14


def test_a_missing_corpus_is_told_with_place_and_remedy(tmp_path):
    with pytest.raises(BenchError, match=r"looked for .*MIR-1K/Wavfile/\*\.wav.*--data"):
        MIR1K(tmp_path).names("train")


def test_an_unknown_corpus_or_split_is_refused_with_the_nearest_name(root):
    with pytest.raises(BenchError, match="did you mean 'mir1k'"):
        datasets.open_dataset("mir-1k", root)
    with pytest.raises(BenchError, match="did you mean 'test'"):
        MIR1K(root).names("tests")


def silent(path):
    audio, rate = soundfile.read(path)
    audio[:, 1] = 0
    soundfile.write(path, audio, rate, subtype="PCM_16")


def cut_short(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def not_a_number(path):
    audio, rate = soundfile.read(path)
    audio[11, 0] = np.nan
    soundfile.write(path, audio, rate, subtype="FLOAT")


def garbage(path):
    path.write_bytes(b"no audio at all")


def empty(path):
    path.write_bytes(b"")


def mono(path):
    soundfile.write(path, np.ones(3000) / 2, 16_000)


def other_rate(path):
    audio, _ = soundfile.read(path)
    soundfile.write(path, audio, 44_100)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (silent, "vocals of track 'Ani_1_01' is silent"),
        (cut_short, r"Ani_1_01\.wav is cut short"),
        (not_a_number, "Ani_1_01.*NaN.*at sample 11"),
        (garbage, r"Ani_1_01\.wav cannot be read"),
        (empty, r"Ani_1_01\.wav cannot be read"),
        (mono, r"Ani_1_01\.wav has 1 channel"),
        (other_rate, r"Ani_1_01\.wav has 2 channel\(s\) at 44100 Hz"),
    ],
)
def test_a_damaged_clip_is_refused_in_one_line_that_names_it(root, damage, message):
    damage(root / "MIR-1K" / "Wavfile" / "Ani_1_01.wav")
    with pytest.raises(BenchError, match=message) as caught:
        MIR1K(root).digest("test")
    assert "\n" not in str(caught.value)


def test_the_synthetic_corpus_is_the_same_each_time_and_every_clip_another():
    make_track.cache_clear()
    first = [t.mixture for s in ("train", "dev", "test") for t in Synthetic().tracks(s)]
    make_track.cache_clear()
    again = [t.mixture for s in ("train", "dev", "test") for t in Synthetic().tracks(s)]
    assert len(first) == 23
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({m.tobytes() for m in first}) == 23


def test_synthetic_sources_are_at_0_db_and_unlike():
    for track in Synthetic().tracks("test"):
        voice, backing = (track.references[t][0] for t in TARGETS)
        assert (track.rate, len(voice)) == (RATE, 64_000)
        assert np.linalg.norm(voice) == pytest.approx(1)
        assert np.linalg.norm(backing) == pytest.approx(1)
        assert abs(voice @ backing) < 0.3  # they share a key


def test_synthetic_accompaniment_repeats_and_the_voice_does_not():
    def likeness(x):
        """The highest correlation with a copy of itself moved by at least half a second."""
        spectrum = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
        correlation = np.fft.irfft(spectrum)[: len(x) // 2]
        overlap = 1 - np.arange(len(x) // 2) / len(x)
        return (correlation / overlap)[RATE // 2 :].max() / correlation[0]

    tracks = [*Synthetic().tracks("train"), *Synthetic().tracks("test")]
    values = {t: np.median([likeness(x.references[t][0]) for x in tracks]) for t in TARGETS}
    assert values["accompaniment"] > 0.5
    assert values["accompaniment"] > values["vocals"]
