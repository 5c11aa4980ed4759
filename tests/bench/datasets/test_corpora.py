"""The corpora that stay in their files, each in a small copy of its official layout."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.datasets import open_dataset
from bench.datasets.check import check_corpus
from bench.datasets.musdb18 import DEV_SONGS
from bench.errors import BenchError
from bench.track import TARGETS
from tests.command import bench

RATE = 44_100
STEMS = ("drums", "bass", "other", "vocals")
NEEDS_FFMPEG = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def noise(name: str, n: int = 9000, channels: int = 2):
    rng = np.random.default_rng(list(name.encode()))
    return np.round(0.1 * rng.standard_normal((n, channels)) * 2**15) / 2**15


def write(path: Path, samples, rate: int = RATE, **kwargs) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **{"subtype": "PCM_16", **kwargs})
    return path


def stem_songs(root: Path, folder: str, layout: str) -> None:
    for split, name in (
        ("train", "A - One"),
        ("train", "Leaf - Summerghost"),
        ("test", "C - Three"),
        ("test", "D - Four"),
    ):
        for stem in STEMS:
            where = layout.format(split=split, name=name, stem=stem)
            write(root / folder / where, noise(f"{name}/{stem}"))


def musdb18hq(root):
    stem_songs(root, "MUSDB18-HQ", "{split}/{name}/{stem}.wav")


def dsd100(root):
    for split, name in (("Dev", "051 - A - B"), ("Dev", "060 - C - D"), ("Test", "001 - E - F")):
        for stem in STEMS:
            path = root / "DSD100" / "Sources" / split / name / f"{stem}.wav"
            write(path, noise(f"{name}/{stem}"))


def ikala(root):
    for name in ("21025_verse", "10161_chorus", "45305_verse", "90586_chorus", "notes"):
        write(root / "iKala" / "Wavfile" / f"{name}.wav", noise(name))


def folder(root):
    for split, name in (("train", "a"), ("test", "b"), ("test", "c c")):
        for target in TARGETS:
            suffix = ".wav" if name == "a" or target == "vocals" else ".flac"
            write(root / split / name / f"{target}{suffix}", noise(f"{name}{target}"), 22_050)


def musdb18_7s(root):
    for split, name in (("train", "A - One"), ("test", "C - Three")):
        home = root / "MUSDB18-7" / split
        home.mkdir(parents=True, exist_ok=True)
        command = ["ffmpeg", "-v", "error", "-nostdin"]
        for stem in ("mixture", *STEMS):
            path = write(root / "scratch" / f"{name} {stem}.wav", noise(f"{name}/{stem}", 40_000))
            command += ["-i", str(path)]
        for i in range(5):
            command += ["-map", str(i)]
        command += ["-c:a", "aac", str(home / f"{name}.stem.mp4")]
        subprocess.run(command, check=True)


MAKERS = {"musdb18hq": musdb18hq, "dsd100": dsd100, "ikala": ikala, "folder": folder}
ALL = [*MAKERS, pytest.param("musdb18_7s", marks=NEEDS_FFMPEG)]
SPLITS = {
    "musdb18hq": (["A - One"], ["Leaf - Summerghost"], ["C - Three", "D - Four"]),
    "dsd100": (["051 - A - B"], ["060 - C - D"], ["001 - E - F"]),
    "ikala": (["21025_verse"], ["10161_chorus"], ["45305_verse", "90586_chorus"]),
    "folder": (["a"], [], ["b", "c c"]),
    "musdb18_7s": (["A - One"], [], ["C - Three"]),
}


@pytest.fixture
def corpus(request, tmp_path):
    (MAKERS | {"musdb18_7s": musdb18_7s})[request.param](tmp_path)
    return open_dataset(request.param, tmp_path)


def each(test):
    return pytest.mark.parametrize("corpus", ALL, indirect=True)(test)


@each
def test_tracks_fall_into_their_splits(corpus, request):
    expected = SPLITS[request.node.callspec.params["corpus"]]
    assert tuple(corpus.names(split) for split in ("train", "dev", "test")) == expected


@each
def test_nothing_is_decoded_before_it_is_asked_for_and_an_excerpt_reads_no_more(corpus):
    name = corpus.names("test")[0]
    whole = corpus.load("test", name)
    assert not whole.references._whole
    track = corpus.load("test", name)
    cut = track.excerpt(1234, 4321)
    assert not track.references._whole
    for target in TARGETS:
        assert np.array_equal(cut.references[target], whole.references[target][:, 1234:5555])
    assert track.n_samples == whole.references["vocals"].shape[1]
    assert np.array_equal(whole.mixture, sum(whole.references[t] for t in TARGETS))


@each
def test_the_digest_is_of_the_contents_of_a_split(corpus, tmp_path):
    before = {split: corpus.digest(split) for split in ("train", "test")}
    assert before == {split: type(corpus)(tmp_path).digest(split) for split in before}
    train, test = (
        sorted(path for path in tmp_path.rglob("*.*") if is_of(path, corpus.names(split)[0]))
        for split in before
    )
    assert train[0].read_bytes() != test[0].read_bytes()
    shutil.copy(train[0], test[0])
    after = {split: type(corpus)(tmp_path).digest(split) for split in before}
    assert after["test"] != before["test"]
    assert after["train"] == before["train"]


def is_of(path: Path, name: str) -> bool:
    """Tell whether a file of a corpus is of a track: by its own name, or by its folder's."""
    is_built = path.parent.name == "scratch"
    return not is_built and name in (path.parent.name, path.name.partition(".")[0])


@each
def test_a_corpus_that_is_not_there_is_told_with_place_and_remedy(corpus, tmp_path_factory):
    empty = type(corpus)(tmp_path_factory.mktemp("empty"))
    with pytest.raises(BenchError, match=r"no test tracks: looked for .*--data or BENCH_DATA"):
        empty.names("test")
    with pytest.raises(BenchError, match="did you mean 'test'"):
        corpus.names("tests")


def test_the_accompaniment_is_the_sum_of_its_stems(tmp_path):
    musdb18hq(tmp_path)
    track = open_dataset("musdb18hq", tmp_path).load("test", "D - Four")
    expected = sum(noise(f"D - Four/{stem}") for stem in STEMS[:3]).T
    assert np.abs(track.references["accompaniment"] - expected).max() < 1e-12
    assert np.array_equal(track.references["vocals"], noise("D - Four/vocals").T)


def test_left_is_accompaniment_and_right_is_voice_in_ikala(tmp_path):
    ikala(tmp_path)
    track = open_dataset("ikala", tmp_path).load("test", "45305_verse")
    left, right = noise("45305_verse").T
    assert np.array_equal(track.references["accompaniment"][0], left)
    assert np.array_equal(track.references["vocals"][0], right)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:3000])


def garbage(path):
    path.write_bytes(b"no audio at all")


def empty(path):
    path.write_bytes(b"")


def shorter(path):
    write(path, noise("x", 5000))


def not_a_number(path):
    samples = noise("x")
    samples[11] = np.nan
    write(path, samples, subtype="FLOAT")


def gone(path):
    path.unlink()


DAMAGES = [
    (cut_short, "cut short"),
    (garbage, "cannot be read"),
    (empty, "cannot be read"),
    (shorter, "5000 samples"),
    (not_a_number, "NaN or infinite, the first at sample 11"),
    (gone, "no such file"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_a_damaged_song_is_found_by_the_check_and_said_in_one_line(
    tmp_path, capsys, damage, message
):
    musdb18hq(tmp_path)
    damage(tmp_path / "MUSDB18-HQ" / "test" / "C - Three" / "bass.wav")
    states = {state.split: state for state in check_corpus(open_dataset("musdb18hq", tmp_path))}
    assert list(states["test"].damaged) == ["C - Three"]
    (reason,) = states["test"].damaged.values()
    assert message in reason
    assert "\n" not in reason
    assert not states["train"].damaged
    assert (states["test"].n_missing, states["train"].n_missing) == (48, 85)
    assert states["dev"].missing == sorted(DEV_SONGS - {"Leaf - Summerghost"})
    assert bench("data", "check", "musdb18hq", "--data", tmp_path) == 1
    assert "damaged in test" in capsys.readouterr().out


def test_clips_without_labels_of_pitch_are_counted(tmp_path, capsys):
    root = tmp_path / "MIR-1K"
    for name in ("Wavfile", "PitchLabel"):
        (root / name).mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((16_000, 2))
    for name in ("amy_1_01", "Ani_1_01", "Ani_1_02"):
        soundfile.write(root / "Wavfile" / f"{name}.wav", noise, 16_000)
    (root / "PitchLabel" / "Ani_1_01.pv").write_text("60\n" * 49)
    bench("data", "check", "mir1k", "--data", tmp_path)
    printed = " ".join(capsys.readouterr().out.split())
    assert "no labels of pitch: 1 of 1 tracks in train" in printed
    assert "no labels of pitch: 1 of 2 tracks in test" in printed
    assert "Labels are expected in MIR-1K/PitchLabel/*.pv" in printed


def test_a_sound_corpus_passes_the_check(tmp_path, capsys):
    folder(tmp_path)
    assert bench("data", "check", "folder", "--data", tmp_path) == 0
    musdb18hq(tmp_path)
    assert bench("data", "check", "musdb18hq", "--data", tmp_path) == 1
    assert "to get what is missing" in capsys.readouterr().out
    assert bench("data", "check", "dsd100", "--data", tmp_path) == 2
    assert "unpack it there" in capsys.readouterr().err


@NEEDS_FFMPEG
@pytest.mark.parametrize("damage", [cut_short, garbage, empty])
def test_a_damaged_stem_file_is_said_in_one_line(tmp_path, damage):
    musdb18_7s(tmp_path)
    corpus = open_dataset("musdb18_7s", tmp_path)
    damage(tmp_path / "MUSDB18-7" / "test" / "C - Three.stem.mp4")
    with pytest.raises(BenchError, match=r"C - Three\.stem\.mp4 is damaged") as caught:
        corpus.digest("test")
    assert "\n" not in str(caught.value)


def test_what_stem_files_need_and_is_missing_is_said(tmp_path, monkeypatch):
    path = tmp_path / "MUSDB18-7" / "test" / "C - Three.stem.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="need ffmpeg and ffprobe, not found on the PATH"):
        open_dataset("musdb18_7s", tmp_path).digest("test")


def test_the_dev_songs_are_musdbs_own():
    musdb = pytest.importorskip("musdb")
    setup = Path(musdb.__file__).parent / "configs" / "mus.yaml"
    listed = {line[3:-1] for line in setup.read_text().splitlines() if line.startswith("- '")}
    assert listed == DEV_SONGS


@NEEDS_FFMPEG
def test_the_excerpts_here_are_read_as_musdb_reads_them(shared):
    musdb = pytest.importorskip("musdb")
    corpus = open_dataset("musdb18_7s", shared / "data")
    assert [len(corpus.names(split)) for split in ("train", "dev", "test")] == [14, 2, 8]
    theirs = musdb.DB(root=str(shared / "data" / "MUSDB18-7"), subsets=["test"])
    for track in theirs.tracks[:2]:
        loaded = corpus.load("test", track.name)
        for target in TARGETS:
            assert np.array_equal(loaded.references[target], track.targets[target].audio.T)
