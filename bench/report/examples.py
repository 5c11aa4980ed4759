"""Three tracks to look at and to listen to, chosen by rule: the best, the median, the worst.

By the first metric of the table, of its first target, under the best method. Pictures and scores
go into every report; audio only where the corpus says that its licence allows it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import stft
from bench.datasets.dataset import Dataset
from bench.report.tabulate import ReportTables
from bench.report.track_tables import TrackTable
from bench.scoring.aggregate import OVER_TRACKS
from bench.store import listening
from bench.store.cell_folder import CellFolder

#: Of a picture in pixels, and the level in dB below the mixture's peak that is black.
WIDTH, HEIGHT, RANGE_DB = 440, 150, 70.0
#: The highest frequency of a picture in hertz.
TOP = 8_000
WEBP_QUALITY = 70


@dataclass(frozen=True)
class Choice:
    """A track that was chosen.

    Attributes
    ----------
    role
        ``best``, ``median`` or ``worst``.
    track
        Its name.
    scores
        The metric of each row on it, a mean over seeds; NaN where undefined.
    """

    role: str
    track: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Chosen:
    """Tracks, and the rule by which they were chosen."""

    best_row: str
    target: str
    metric: str
    choices: Sequence[Choice]


def choose(tables: ReportTables) -> Chosen | None:
    """Return the tracks to show, or None where no method has a score.

    Where all rows are bounds, the best of them takes the place of the best method.
    """
    experiment = tables.results.experiment
    protocol, target = experiment.protocols[0], experiment.table.targets[0]
    metric = experiment.metrics(protocol)[0]
    by_row = {row: t for (row, m), t in tables.tracks[protocol, target].items() if m == metric}
    done = [row for row in tables.rows if row.status == "done"]
    aggregate = OVER_TRACKS[protocol][0]
    values = {
        row.label: float(aggregate(by_row[row.label].over_seeds, by_row[row.label].weights))
        for row in [row for row in done if row.ranked] or done
        if row.label in by_row
    }
    values = {label: value for label, value in values.items() if not np.isnan(value)}
    if not values:
        return None
    best = max(values, key=lambda label: values[label])
    chosen = three(by_row[best])
    shown = {row.label: by_row[row.label] for row in done}
    own = next(k for k, v in OVER_TRACKS[protocol][1].items() if v == metric)
    return Chosen(
        best,
        target,
        own,
        [
            Choice(role, name, {label: on_track(table, name) for label, table in shown.items()})
            for role, name in chosen.items()
        ],
    )


def three(table: TrackTable) -> dict[str, str]:
    """Return the best, the median (the lower of two) and the worst track, by name where equal."""
    scores = dict(zip(table.names, table.over_seeds, strict=True))
    order = sorted((name for name in scores if not np.isnan(scores[name])), key=lambda n: scores[n])
    places = {"best": -1, "median": (len(order) - 1) // 2, "worst": 0}
    found: dict[str, str] = {}
    for role, place in places.items():
        if order and order[place] not in found.values():
            found[role] = order[place]
    return found


def on_track(table: TrackTable, name: str) -> float:
    """Return a row's score on a track, NaN where it has none."""
    values = dict(zip(table.names, table.over_seeds, strict=True))
    return float(values.get(name, np.nan))


def make(
    tables: ReportTables, dataset: Dataset, runs: Path, device: str = "cpu"
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Return what a report tells of its examples, and their files by path in its folder.

    Returns
    -------
    list
        For each track its role, name, rate and start in seconds, and its signals: label, kind,
        score, picture, and audio (None where it may not be passed on).
    dict
        Pictures as WebP, audio as FLAC.
    """
    chosen = choose(tables)
    if chosen is None:
        return [], {}
    firsts: dict[str, CellFolder] = {}
    for outcome in tables.results.outcomes:
        firsts.setdefault(outcome.cell.row, CellFolder(runs, outcome.cell))
    shared = bool(tables.results.corpus.get("shares_audio", False))
    files: dict[str, bytes] = {}
    told = []
    for choice in chosen.choices:
        track = dataset.load("test", choice.track)
        cut = listening.listening_clip(track, next(iter(firsts.values())).cell.digests["test"])
        true = listening.truth(runs, track, cut)
        signals = [("Mixture", "mixture", true["mixture"])]
        signals.append((f"True {chosen.target}", "reference", true[chosen.target]))
        for row in tables.rows:
            made = listening.estimates(firsts[row.label], track, cut, device)
            if made is not None and row.method != "mixture":
                signals.append((row.label, row.group, made[chosen.target]))
        loudest = peak(spectrogram(true["mixture"]))
        entries = []
        for n, (label, kind, path) in enumerate(signals):
            stem = f"{choice.role}-{n:02d}"
            files[f"pictures/{stem}.webp"] = picture(spectrogram(path), loudest)
            if shared:
                files[f"audio/{stem}.flac"] = path.read_bytes()
            score = choice.scores.get(label, np.nan)
            entries.append(
                {
                    "label": label,
                    "kind": kind,
                    "score": float(score) if np.isfinite(score) else None,
                    "picture": f"pictures/{stem}.webp",
                    "audio": f"audio/{stem}.flac" if shared else None,
                }
            )
        told.append(
            {
                "role": choice.role,
                "key": cut.key,
                "track": choice.track,
                "target": chosen.target,
                "metric": chosen.metric,
                "best_row": chosen.best_row,
                "start_s": cut.start / cut.rate,
                "duration_s": (cut.stop - cut.start) / cut.rate,
                "top_hz": min(TOP, cut.rate / 2),
                "signals": entries,
            }
        )
    return told, files


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file by path."""
    return {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)}


def spectrogram(path: Path) -> NDArray[np.float64]:
    """Return the magnitudes of an audio file up to `TOP`, ``(bins, frames)``, over channels."""
    import soundfile

    audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
    size = 1024 if rate <= 24_000 else 2048
    magnitudes = np.abs(stft.forward(audio.T.copy(), size, size // 4)).mean(axis=0)
    return np.asarray(magnitudes[: int(np.ceil(TOP * size / rate)) + 1])


def peak(magnitudes: NDArray[np.float64]) -> float:
    """Return the largest magnitude, the reference of the pictures of a track."""
    return float(magnitudes.max()) or 1.0


def picture(magnitudes: NDArray[np.float64], loudest: float) -> bytes:
    """Return a spectrogram as WebP: low frequencies at the foot, `RANGE_DB` from black to white."""
    level = 20 * np.log10(np.maximum(magnitudes / loudest, 1e-12))
    return image(np.clip(1 + level / RANGE_DB, 0, 1))


def image(values: NDArray[np.float64]) -> bytes:
    """Return values in [0, 1], ``(bins, frames)``, as WebP in matplotlib's magma."""
    import matplotlib as mpl
    from PIL import Image

    colours = (255 * mpl.colormaps["magma"](values[::-1])[..., :3]).astype(np.uint8)
    drawn = Image.fromarray(colours).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    sink = io.BytesIO()
    drawn.save(sink, "WEBP", quality=WEBP_QUALITY, method=6)
    return sink.getvalue()
