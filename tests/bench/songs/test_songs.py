"""``bench separate`` and ``bench.load``: songs of any format, rate, length, number of channels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import soundfile

import bench as suite
from baselines.networks.drnn.separator import DRNN
from baselines.nmf import NMF
from bench.datasets.synthetic import Synthetic
from bench.errors import BenchError
from tests.command import ROOT, bench

NEEDS_FFMPEG = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
#: What 32 bit floats leave of a sum, and what half a step of 24 bits is.
FLOAT, STEP_24 = 2e-7, 2.0**-24


def music(seconds=1.0, rate=44_100, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(max(1, round(seconds * rate))) / rate
    tones = sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330)) / 10
    return (tones + 0.05 * rng.standard_normal((channels, len(t)))).T


def write(path, samples, rate=44_100, **kwargs):
    soundfile.write(path, samples, rate, **kwargs)
    return Path(path)


def estimates(name, suffix="wav", out="separated"):
    pairs = [
        soundfile.read(Path(out) / name / f"{t}.{suffix}", always_2d=True)
        for t in ("vocals", "accompaniment")
    ]
    return pairs[0][0], pairs[1][0], pairs[0][1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network for 16 kHz, in a folder."""
    folder = tmp_path_factory.mktemp("weights")
    tracks = Synthetic().tracks("train")[:2]
    DRNN(hidden=8, epochs=1, batch_size=2).fit(tracks).save(folder)
    return folder


CASES = {
    "mono 8 kHz": ({"rate": 8000, "channels": 1}, {}),
    "stereo": ({}, {}),
    "8 channels": ({"channels": 8, "seconds": 0.4}, {}),
    "192 kHz": ({"rate": 192_000, "seconds": 0.3}, {}),
    "24 bit": ({}, {"subtype": "PCM_24"}),
    "32 bit float beyond full scale": ({}, {"subtype": "FLOAT"}),
    "one sample": ({"seconds": 0}, {}),
    "one channel of 7 samples": ({"seconds": 7 / 44_100, "channels": 1}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_any_song_comes_out_in_two_parts_that_add_up_to_it(workspace, capsys, case):
    shape, form = CASES[case]
    samples = music(**shape) * (30 if "beyond" in case else 1)
    rate = shape.get("rate", 44_100)
    write("song.wav", samples, rate, **form)
    mixture, _ = soundfile.read("song.wav", always_2d=True)
    assert bench("separate", "song.wav", "--with", "rpca") == 0
    voice, backing, estimate_rate = estimates("song")
    assert voice.shape == backing.shape == mixture.shape
    assert estimate_rate == rate
    scale = max(1.0, np.abs(mixture).max())
    assert np.abs(voice + backing - mixture).max() < FLOAT * scale
    assert np.isfinite(voice).all()
    assert "real-time factor" in capsys.readouterr().out


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_flac_adds_up_to_the_last_bit_and_never_clips(workspace, subtype):
    samples = np.clip(music() * 4, -1, 1 - 2.0**-15)
    write("song.flac", samples, subtype=subtype)
    assert bench("separate", "song.flac", "--with", "hpss", "--flac", "--out", "o") == 0
    voice, backing, _ = estimates("song", "flac", "o")
    assert np.array_equal(voice + backing, soundfile.read("song.flac")[0])
    assert soundfile.info("o/song/vocals.flac").subtype == "PCM_24"


def test_silence_comes_out_silent(workspace):
    write("song.wav", np.zeros((9000, 2)))
    assert bench("separate", "song.wav", "--with", "rpca") == 0
    voice, backing, _ = estimates("song")
    assert not voice.any()
    assert not backing.any()


@NEEDS_FFMPEG
@pytest.mark.parametrize("suffix", ["mp3", "m4a", "ogg", "mka"])
def test_what_soundfile_or_ffmpeg_reads_is_separated(workspace, suffix):
    times_s = np.arange(2 * 44_100) / 44_100
    tones = np.stack([np.sin(2 * np.pi * f * times_s) for f in (440.0, 660.0)], axis=1) / 4
    write("in.wav", tones)
    command = ["ffmpeg", "-v", "error", "-i", "in.wav", f"song.{suffix}"]
    subprocess.run(command, check=True)
    assert bench("separate", f"song.{suffix}", "--with", "rpca") == 0
    voice, backing, rate = estimates("song")
    assert rate == 44_100
    assert abs(len(voice) - len(tones)) < 0.1 * 44_100  # a few frames of the codec
    middle = slice(22_050, 66_150)  # a codec fades in and out
    error = (voice + backing)[middle] - tones[middle]
    assert np.square(error).mean() < 0.01 * np.square(tones).mean()


def test_a_method_for_another_rate_hears_the_song_resampled_and_it_is_said(
    workspace, trained, capfd
):
    write("song.wav", music(2.0))
    assert bench("separate", "song.wav", "--with", trained) == 0
    voice, backing, rate = estimates("song")
    assert rate == 44_100
    assert np.abs(voice + backing - music(2.0)).max() < FLOAT + 2.0**-15
    assert voice.any()
    assert "was trained at 16000 Hz: 44100 Hz are resampled" in capfd.readouterr().err
    # Nothing above 8 kHz was heard, so nothing of it is voice.
    spectrum = np.abs(np.fft.rfft(voice[:, 0]))
    high = spectrum[int(8200 / 22_050 * len(spectrum)) :]
    assert np.square(high).sum() < 1e-4 * np.square(spectrum).sum()


def test_resampled_pieces_meet_in_step(trained, monkeypatch):
    from bench.methods import chunks

    monkeypatch.setattr(chunks, "LONGEST_CHUNK_S", 10.0)
    rate, method = 44_100, suite.load(str(trained))
    mixture = music(24.0, channels=1).T
    resampling = method.for_rate(rate)
    assert len(chunks.cuts(mixture.shape[1], 1, rate, resampling.alignment(rate))) > 2
    whole = resampling.separate(mixture, rate)["vocals"]
    cut = method.separate(mixture, rate)["vocals"]
    assert 10 * np.log10(np.square(whole).sum() / np.square(whole - cut).sum()) > 60


def test_several_songs_go_on_after_one_that_cannot_be_read(workspace, capsys):
    write("one.wav", music())
    Path("two.wav").write_bytes(b"no audio")
    write("three.wav", music())
    assert bench("separate", "one.wav", "two.wav", "three.wav", "--with", "rpca") == 2
    streams = capsys.readouterr()
    assert "two.wav cannot be decoded" in streams.err
    assert len(streams.err.strip().splitlines()) == 1
    assert sorted(path.name for path in Path("separated").iterdir()) == ["one", "three"]


def truncated():
    write("song.wav", music())
    Path("song.wav").write_bytes(Path("song.wav").read_bytes()[:9000])


def truncated_flac():
    write("song.flac", music())
    content = Path("song.flac").read_bytes()
    Path("song.wav").write_bytes(content[: len(content) // 2])


def not_finite():
    samples = music()
    samples[77, 0] = np.inf
    write("song.wav", samples, subtype="FLOAT")


WRONG = {
    "missing": (lambda: None, r"song\.wav does not exist"),
    "an empty folder": (lambda: Path("song.wav").mkdir(), r"song\.wav holds no song"),
    "empty": (lambda: Path("song.wav").write_bytes(b""), r"song\.wav is empty"),
    "garbage": (lambda: Path("song.wav").write_bytes(b"x" * 999), r"song\.wav cannot be decoded"),
    "a text": (
        lambda: Path("song.wav").write_text("#EXTM3U\nhttp://127.0.0.1:9/a.mp3\n"),
        "cannot be",
    ),
    "no samples": (lambda: write("song.wav", np.zeros((0, 2))), r"song\.wav holds no samples"),
    "cut short": (truncated, r"song\.wav is cut short"),
    "a cut FLAC": (truncated_flac, r"song\.wav (is cut short|cannot be read)"),
    "not finite": (not_finite, r"NaN or infinite"),
}


@NEEDS_FFMPEG
@pytest.mark.parametrize("case", WRONG)
def test_a_song_that_cannot_be_separated_is_refused_in_one_line(workspace, capsys, case):
    make, message = WRONG[case]
    make()
    assert bench("separate", "song.wav", "--with", "rpca") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line), line
    assert not list(Path().rglob("*.part"))
    assert not Path("separated/song").exists()


def test_what_cannot_be_used_is_refused_in_one_line(bare_workspace, trained, capsys):
    write("song.wav", music(0.1))
    Path("in").mkdir()
    Path("plain").mkdir()
    write("in/song.wav", music(0.1))
    loud = write("loud.wav", 3 * music(0.1), subtype="FLOAT")
    vocals = Path("x/vocals")
    vocals.mkdir(parents=True)
    write(vocals / "vocals.wav", music(0.1))
    damaged = shutil.copytree(trained, "damaged")
    weights = Path(damaged) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    for words, message in [
        (["song.wav", "--with", "rpcaa"], "did you mean 'rpca'"),
        (["song.wav", "--with", "drnn"], "drnn must be trained: name a run"),
        (["song.wav", "--with", "ideal_ratio_mask"], "is a bound made from the true sources"),
        (["song.wav", "--with", "plain"], "plain holds no method"),
        (["song.wav", "--with", damaged], "weights in damaged are damaged"),
        (["song.wav", "--with", "runs:/" + 32 * "a"], "no MLflow store here"),
        (["song.wav", "--with", "models:/none/1"], "no MLflow store here"),
        (["song.wav", "--with", "no.such.module:Class"], "there is no module no.such.module"),
        (["song.wav", "in/song.wav", "--with", "rpca"], "two songs are named 'song'"),
        ([vocals / "vocals.wav", "--with", "rpca", "--out", "x"], "would be written over"),
        ([loud, "--with", "rpca", "--flac"], "24 bit integers cannot hold: write WAV of 32 bits"),
        (
            ["song.wav", "--with", "rpca", "--flac", "--bits", "32"],
            "FLAC holds samples of 16",
        ),
        (
            ["song.wav", "--with", "rpca", "--bits", "8"],
            "--bits 8 is no width of samples here; give 16",
        ),
        (["song.wav", "--with", "rpca", "--out", "loud.wav"], "cannot be written"),
    ]:
        assert bench("separate", *words) == 2, words
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
    assert not list(Path().rglob("*.part"))


def test_audio_in_python_is_separated_at_any_rate_and_refused_in_one_line(trained):
    method = suite.load(str(trained))
    mixture = music(1.0, channels=3).T
    copy = mixture.copy()
    separated = method.separate(mixture, 44_100)
    assert sorted(separated) == ["accompaniment", "vocals"]
    assert np.abs(sum(separated.values()) - mixture).max() < 1e-12
    assert np.array_equal(mixture, copy)
    single = method.separate(np.float32(mixture), 44_100)
    assert np.abs(single["vocals"] - separated["vocals"]).max() < 1e-5
    with pytest.raises(BenchError, match="expected \\(channels, samples\\)"):
        method.separate(mixture[0], 44_100)


RUN = """\
title: T
why: W
dataset: synthetic
methods:
  - {method: mixture, label: Mixture}
  - {method: rpca, label: RPCA, fixed: {k: 1.5}}
  - {method: nmf, label: NMF, fixed: {atoms: 4, iterations: 5}}
"""


@pytest.mark.slow
def test_a_run_of_an_experiment_is_loaded_by_its_mlflow_run_or_its_folder(workspace, capsys):
    Path("x.yaml").write_text(RUN)
    assert bench("run", "x.yaml", "--workers", "0") == 0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "x")
    runs = client.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'cell'")
    by_row = {run.data.tags["row"]: run for run in runs}
    track = Synthetic().tracks("test")[0]
    nmf = NMF(atoms=4, iterations=5).fit(Synthetic().tracks("train"))
    expected = nmf.separate(track.mixture, track.rate)["vocals"]
    fingerprint = by_row["NMF"].data.tags["fingerprint"][:32]
    run_id = by_row["NMF"].info.run_id
    model_id = by_row["NMF"].outputs.model_outputs[0].model_id
    for name in (
        f"runs:/{run_id}",
        f"runs/{fingerprint}",
        f"runs:/{run_id}/model",
        f"models:/{model_id}",
    ):
        voice = suite.load(name).separate(track.mixture, track.rate)["vocals"]
        assert np.array_equal(voice, expected)
    assert suite.load(by_row["RPCA"].info.run_id).method.hyperparameters()["k"] == 1.5
    parent = client.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'experiment'")[0]
    with pytest.raises(BenchError, match="is no cell"):
        suite.load(f"runs:/{parent.info.run_id}")
    with pytest.raises(BenchError, match="no run"):
        suite.load("runs:/" + 32 * "f")
    with pytest.raises(BenchError, match="no model at models:/none/1"):
        suite.load("models:/none/1")
    shutil.rmtree("runs")
    voice = suite.load(f"runs:/{run_id}").separate(track.mixture, track.rate)["vocals"]
    assert np.array_equal(voice, expected)
    assert suite.load(by_row["RPCA"].info.run_id).method.hyperparameters()["k"] == 1.5


@pytest.mark.parametrize(("suffix", "bits"), [("wav", 16), ("wav", 24), ("flac", 16)])
def test_estimates_of_fewer_bits_add_up_to_the_song(workspace, suffix, bits):
    song = write("song.wav", 0.9 * np.clip(music(), -1, 1), subtype=f"PCM_{bits}")
    words = ["--bits", str(bits), *(["--flac"] if suffix == "flac" else [])]
    assert bench("separate", "song.wav", "--with", "mixture", *words) == 0
    voice, rest, _ = estimates("song", suffix)
    assert soundfile.info(f"separated/song/vocals.{suffix}").subtype == f"PCM_{bits}"
    assert np.array_equal(voice + rest, soundfile.read(song)[0])


def test_a_folder_of_songs_is_separated_song_by_song(workspace):
    Path("album").mkdir()
    for name in ("a.wav", "b.flac"):
        write(Path("album", name), 0.5 * music(0.2))
    Path("album/cover.txt").write_text("no song")
    Path("album/._a.mp3").write_bytes(b"what another system keeps beside a file")
    Path("album/live.wav").mkdir()
    assert bench("separate", "album", "--with", "mixture") == 0
    assert sorted(path.name for path in Path("separated").iterdir()) == ["a", "b"]


def test_a_song_that_cannot_be_read_leaves_the_rates_of_the_others(workspace, capsys):
    write("song.wav", music(0.5, 16_000, 1), 16_000)
    Path("broken.wav").write_bytes(b"RIFF")
    assert bench("separate", "song.wav", "broken.wav") == 2
    out, err = capsys.readouterr()
    assert "song.wav: 0.5 s of music" in out
    assert err.startswith("bench: broken.wav cannot be decoded")


LATER = """\
import sys, threadpoolctl
from bench.cli.main import app
app(["separate", "song.wav", "--with", "mixture"], standalone_mode=False)
import scipy.linalg, sklearn.cluster
threads = {lib["filepath"]: lib["num_threads"] for lib in threadpoolctl.threadpool_info()}
assert len(threads) > 2 and set(threads.values()) == {1}, threads
"""


def test_one_thread_is_the_limit_of_libraries_that_are_loaded_later_too(bare_workspace):
    write("song.wav", music(0.5, 16_000, 1), 16_000)
    threads = {f"{library}_NUM_THREADS": "2" for library in ("OMP", "MKL", "OPENBLAS")}
    done = subprocess.run(
        [sys.executable, "-c", LATER],
        capture_output=True, text=True, check=False, env={**os.environ, **threads},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_without_a_name_a_method_without_training_is_taken_where_none_is_trained(workspace, capsys):
    write("song.wav", music(0.5, 16_000, 1), 16_000)
    assert bench("separate", "song.wav") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "with hpss, the best method without training on held-out songs: no network that was "
        "trained here on real singers has scored better."
    )
    assert "bench run experiments/paper_table3.yaml" in out


@pytest.mark.slow
def test_without_a_name_the_best_trained_run_is_taken_and_its_limits_are_said(workspace, capsys):
    folder = Path("data/MIR-1K/Wavfile")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("amy_1_01", "amy_9_08", "Ani_1_01"):
        t = np.arange(16_000) / 16_000
        voice = np.sin(2 * np.pi * 300 * t) * (t > 0.3)
        clip = np.stack([0.1 * rng.standard_normal(16_000), 0.1 * voice], axis=1)
        write(folder / f"{name}.wav", clip, 16_000)
    Path("mine.yaml").write_text(
        RUN.replace("synthetic", "mir1k").replace("atoms: 4, iterations: 5", "atoms: 4")
        + "  - {method: nmf, label: One atom, fixed: {atoms: 1, iterations: 1}}\n"
    )
    assert bench("run", "mine.yaml", "--workers", "0", "-o", "examples=false") == 0
    write("song.wav", music(0.5))
    capsys.readouterr()
    assert bench("separate", "song.wav") == 0
    told = capsys.readouterr()
    assert "(NMF, seed 0 of experiment mine, MIR-1K, 16000 Hz): its voice is" in told.out
    assert "licence of what it learnt from: for research" in told.out
    assert "To train at a higher rate: bench run experiments/musdb18.yaml" in told.out
    assert "44100 Hz are resampled, and nothing above 8000 Hz can be voice" in told.err
    assert bench("separate", "song.wav", "--with", "nmf") == 2
    assert "scored here: runs/" in capsys.readouterr().err


#: The peak of this process alone: what getrusage tells, a child has from its parent too.
MEASURE = """\
import re, sys
from pathlib import Path
from bench.songs.separate import separate_file
from bench.songs.load import load
separate_file(load("mixture"), Path(sys.argv[1]), Path("out"))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_song(workspace):
    peaks = []
    for seconds in (70, 280):
        path = write(f"{seconds}.wav", music(seconds))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(path)],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        peaks.append(int(done.stdout) / 1024)
    # Its audio alone is 188 MiB in float64, and so is each estimate.
    assert peaks[1] < peaks[0] + 60, peaks


def test_a_folder_that_is_named_like_a_method_does_not_hide_it(bare_workspace):
    Path("rpca").mkdir()
    assert suite.load("rpca").name == "rpca"
    with pytest.raises(BenchError, match="holds no method"):
        suite.load("./rpca")
