"""Speed of the methods: robust PCA and NMF against plain peers, every method against real time.

    python tests/benchmarks/methods.py

Writes ``reports/benchmarks/methods.md``. Peer and ours take turns in one process of one thread,
and the best of each counts. Music is that of the synthetic corpus, joined to the length asked.
Networks of the sizes of ``experiments/networks.yaml`` and ``experiments/frontier.yaml`` separate a
whole stereo song at 44.1 kHz, as ``bench separate`` does.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from measure import best, heading, in_process, write
from numpy.typing import NDArray
from sklearn import decomposition

from baselines.algorithms.nmf import ignored_convergence
from baselines.algorithms.robust_pca import robust_pca
from bench import stft
from bench.datasets.synthetic import Synthetic
from bench.methods import registry
from bench.methods.oracle import Oracle
from bench.methods.song import SongSeparator
from bench.plan.experiment_file import read_experiment
from bench.songs.separate import separate_file
from bench.track import TARGETS, Track
from bench.training.network_separator import NetworkSeparator

Matrix = NDArray[np.float64]
RATE = 16_000
#: Of robust PCA's problem: bins, and frames of an 8 s clip at a hop of 256.
SHAPE = (513, 500)
ROUNDS = 3
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
#: Lengths in seconds of the stereo songs that networks separate, and their rate in hertz.
SONG_S, SONG_RATE = (60.0, 240.0), 44_100


def song(duration_s: float) -> Track:
    """Return music of a length, from tracks of the synthetic corpus one after the other."""
    tracks = list(Synthetic().tracks("train")) + list(Synthetic().tracks("test"))
    n = round(duration_s * RATE)
    joined = {
        target: np.concatenate([t.references[target] for t in tracks], axis=1) for target in TARGETS
    }
    repeats = -(-n // joined["vocals"].shape[1])
    return Track("song", RATE, {t: np.tile(a, repeats)[:, :n] for t, a in joined.items()})


def full_ialm(matrix: Matrix, rho: float = 1.5, tolerance: float = 1e-7) -> tuple[Matrix, Matrix]:
    """Robust PCA by the inexact augmented Lagrangian, a full decomposition in each step."""
    weight = 1 / np.sqrt(max(matrix.shape))
    spectral = np.linalg.norm(matrix, 2)
    y = matrix / max(spectral, np.abs(matrix).max() / weight)
    mu, largest, low = 1.25 / spectral, 1.25e7 / spectral, np.zeros_like(matrix)
    while True:
        a = matrix - low + y / mu
        sparse = np.sign(a) * np.maximum(np.abs(a) - weight / mu, 0)
        u, s, v = np.linalg.svd(matrix - sparse + y / mu, full_matrices=False)
        low = (u * np.maximum(s - 1 / mu, 0)) @ v
        y = y + mu * (matrix - low - sparse)
        mu = min(mu * rho, largest)
        if np.linalg.norm(matrix - low - sparse) < tolerance * np.linalg.norm(matrix):
            return low, sparse


def parts(low: Matrix, sparse: Matrix) -> tuple[float, float]:
    """Return the two parts of the objective of robust PCA."""
    nuclear = float(np.linalg.norm(low, "nuc"))
    return nuclear, float(np.abs(sparse).sum() / np.sqrt(max(low.shape)))


def turns(ours: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Return the best time of each of two actions, which take turns."""
    times = [(best(ours, 1), best(peer, 1)) for _ in range(ROUNDS)]
    return min(t for t, _ in times), min(t for _, t in times)


def rpca(_: None) -> list[str]:
    """Compare robust PCA with full decompositions."""
    clip = song(SHAPE[1] * 256 / RATE)
    matrix = np.abs(stft.forward(clip.mixture, 1024, 256)[0])[:, : SHAPE[1]]
    ours, peer = turns(lambda: robust_pca(matrix), lambda: full_ialm(matrix))
    expected = parts(*full_ialm(matrix))
    least = sum(parts(*full_ialm(matrix, rho=1.05)))
    out = []
    for rho in (1.5, 1.1):
        reached = parts(*robust_pca(matrix, rho=rho))
        seconds = ours if rho == 1.5 else best(lambda: robust_pca(matrix, rho=1.1), 1)
        slower = peer if rho == 1.5 else best(lambda: full_ialm(matrix, rho=1.1), 1)
        if rho != 1.5:
            expected = parts(*full_ialm(matrix, rho=1.1))
        off = max(abs(a / b - 1) for a, b in zip(reached, expected, strict=True))
        out.append(
            f"| {rho} | {slower:.2f} | {seconds:.2f} | {slower / seconds:.1f} | {off:.0e} "
            f"| {sum(reached) / least - 1:+.0e} |"
        )
    return out


def divergence(frames: NDArray[np.float32], model: NDArray[np.float32]) -> float:
    """Return the generalised Kullback-Leibler divergence of frames and a model."""
    x, y = frames.astype(np.float64), np.maximum(model.astype(np.float64), 1e-10)
    return float((x * np.log(np.maximum(x, 1e-10) / y) - x + y).sum())


def nmf(_: None) -> list[str]:
    """Compare our training of a dictionary with scikit-learn's NMF as it comes, to one KL."""
    tracks = [song(120.0)]
    frames = np.abs(stft.forward(tracks[0].references["vocals"], 1024, 512))[0].T
    frames = frames / frames.mean()
    iterations = 50

    def fit(data: Matrix, n: int) -> tuple[Matrix, Matrix]:
        model = decomposition.NMF(
            20, init="random", solver="mu", beta_loss="kullback-leibler", max_iter=n, tol=0,
            random_state=0,
        )  # fmt: skip
        with ignored_convergence():
            return model.fit_transform(data), model.components_

    target = divergence(frames, np.matmul(*fit(frames, iterations)))
    single = frames.astype(np.float32)
    n = next(
        n for n in range(iterations - 5, 2 * iterations)
        if divergence(frames, np.matmul(*fit(single, n))) <= target * (1 + 1e-6)
    )  # fmt: skip
    ours, peer = turns(lambda: fit(single, n), lambda: fit(frames, iterations))
    return [f"| {iterations} in {peer:.2f} s | {n} in {ours:.2f} s | {peer / ours:.1f} |"]


def real_time(name: str) -> str:
    """Return how long a method takes for a second of audio, after a training on little."""
    cls = registry.find_method(name)
    method = cls(**({"epochs": 1} if issubclass(cls, NetworkSeparator) else {}))
    track = song(8.0)
    start = time.perf_counter()
    if registry.learns(cls):
        method.fit([song(8.0)], [song(8.0)])
    fit_s = time.perf_counter() - start
    if isinstance(method, Oracle):
        seconds = best(lambda: method.separate_track(track), 2)
    else:
        seconds = best(lambda: method.separate(track.mixture, track.rate), 2)
    learnt = "–" if not registry.learns(cls) else f"{fit_s:.1f}"
    return f"| `{name}` | {seconds / track.duration_s:.3f} | {learnt} |"


def limited(name: str) -> str:
    """Do `real_time` with one thread of PyTorch."""
    torch.set_num_threads(1)
    return real_time(name)


def networks(
    experiment: str, kind: type[NetworkSeparator] = NetworkSeparator
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield label, method and values of each network of a kind in an experiment."""
    for entry in read_experiment(EXPERIMENTS / f"{experiment}.yaml").methods:
        if issubclass(registry.find_method(entry.method), kind):
            for label, values in entry.variants():
                yield label, entry.method, values


def whole_song(case: tuple[str, str, dict[str, Any]]) -> str:
    """Return what the separation of stereo songs costs by a network that was trained for an epoch.

    The peak memory of the process is read after a shorter and after a longer song.
    """
    torch.set_num_threads(1)
    label, name, values = case
    method = registry.make(registry.find_method(name), {**values, "epochs": 1}, name)
    method.fit([song(8.0)], [song(8.0)])
    track = song(SONG_S[-1] * SONG_RATE / RATE)
    mixture = np.concatenate([track.mixture, track.references["vocals"]])
    cells = [label]
    with tempfile.TemporaryDirectory() as folder:
        for seconds in SONG_S:
            path = Path(folder) / f"{seconds:.0f}.wav"
            soundfile.write(path, mixture[:, : round(seconds * SONG_RATE)].T, SONG_RATE)
            separated = separate_file(SongSeparator(method, name), path, Path(folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            cells += [f"{separated.real_time_factor:.3f}", f"{peak:.2f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, print and write the report."""
    out = ["# Methods: speed", "", heading(), ""]
    out += [
        f"Robust PCA of a clip of {SHAPE[0]} x {SHAPE[1]}, against the same algorithm by a full "
        "singular value decomposition in each step, both in one process by turns. `rho` is the "
        "growth of the penalty; by parts are meant the nuclear norm and the weighted sum of "
        "absolute values, ours against the peer's; the last column sets our objective against "
        "the least one found (rho 1.05, full decompositions).",
        "",
        "| rho | full SVD (s) | ours (s) | times as fast | largest difference of the parts "
        "| objective above the least |",
        "|---:|---:|---:|---:|---:|---:|",
        *in_process(rpca, None)[0],
        "",
        "NMF: the training of 20 atoms on two minutes of voice as the suite does it (scikit-learn "
        "on levelled frames in single precision), against scikit-learn's `NMF` on the same frames "
        "as they come, in double, to the same Kullback-Leibler divergence.",
        "",
        "| scikit-learn, updates | ours, updates to the same divergence | times as fast |",
        "|---:|---:|---:|",
        *in_process(nmf, None)[0],
        "",
        "Seconds of work for a second of audio, 8 s of mono at 16 kHz, one thread; training is of "
        "one such track (one epoch for a network), so it shows the order only.",
        "",
        "| method | real-time factor | fit (s) |",
        "|---|---:|---:|",
    ]
    for name in registry.table():
        out.append(in_process(limited, name)[0])
        print(out[-1], flush=True)
    short, long = (f"{seconds:.0f} s" for seconds in SONG_S)
    out += [
        "",
        "Stereo songs at 44.1 kHz through networks of the sizes of `experiments/networks.yaml` and "
        "`experiments/frontier.yaml`, trained for one epoch at 16 kHz: file to files, resampling "
        "included, one thread. The memory is the largest of the process so far, training included.",
        "",
        f"| network | {short}: real-time factor | memory (GiB) | {long}: real-time factor "
        "| memory (GiB) |",
        "|---|---:|---:|---:|---:|",
    ]
    for experiment in ("networks", "frontier"):
        for label, name, values in networks(experiment):
            case = (f"{label} ({experiment})", name, values)
            out.append(in_process(whole_song, case)[0])
            print(out[-1], flush=True)
    print("\n".join(out))
    write("methods", out)


if __name__ == "__main__":
    main()
