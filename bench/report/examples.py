"""Three tracks to look at and to listen to, from the clips that the cells have written.

The tracks are those of `bench.store.listening`. Pictures and scores go into every report; audio
only where the corpus says that its licence allows it. Nothing is separated here.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import stft
from bench.report.rows import Row
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import metric_of_track
from bench.store import listening
from bench.store.cell_folder import CellFolder
from bench.store.listening import ListeningClip

#: Size of a picture in pixels, and the level in dB below the mixture's peak that is drawn black.
WIDTH, HEIGHT, RANGE_DB = 440, 150, 70.0
#: Highest frequency of a picture in hertz.
TOP = 8_000
WEBP_QUALITY = 70


@dataclass(frozen=True)
class Examples:
    """The examples of a report.

    Attributes
    ----------
    facts
        For ``provenance.json``: ``examples``, a mapping a track with its role, name, place in
        seconds and signals (label, kind, score, picture, and audio or None);
        ``rows_without_clips``, the number of finished rows whose cells wrote none; and
        ``example_files``, the SHA-256 of each file by path.
    files
        Pictures as WebP and audio as FLAC, by path in the folder of the report.
    """

    facts: Mapping[str, Any]
    files: Mapping[str, bytes]


class _Signal(NamedTuple):
    """A signal to see and to hear: the mixture, the true target, or a row's estimate of it.

    Attributes
    ----------
    label
        What the report calls it.
    kind
        ``mixture``, ``reference``, or the group of the row.
    path
        File of the audio.
    row
        Label of the row that has its score, if any.
    """

    label: str
    kind: str
    path: Path
    row: str | None


def read_examples(tables: ReportTables, runs: Path) -> Examples | None:
    """Return the examples of a report, or None where no clips were chosen or no cell wrote any.

    Parameters
    ----------
    tables
        The tables of the experiment.
    runs
        The folder that holds all cells.
    """
    clips, files_of = estimate_clips(tables, runs)
    if not clips or not files_of:
        return None
    target = tables.results.experiment.table.targets[0]
    row_of_mixture = next((row.label for row in tables.rows if row.method == "mixture"), None)
    files: dict[str, bytes] = {}
    tracks = []
    for n, clip in enumerate(clips):
        true = listening.true_signals(runs, clip)
        signals = [
            _Signal("Mixture", "mixture", true["mixture"], row_of_mixture),
            _Signal(f"True {target}", "reference", true[target], None),
            *(
                _Signal(row.label, row.group, files_of[row.label][n], row.label)
                for row in tables.rows
                if row.label in files_of
            ),
        ]
        entry, content = _track(tables, clip, target, signals)
        tracks.append(entry)
        files |= content
    facts = {"examples": tracks, "rows_without_clips": len(_with_estimates(tables)) - len(files_of)}
    return Examples({**facts, "example_files": _hashes(files)}, files)


def estimate_clips(
    tables: ReportTables, runs: Path
) -> tuple[Sequence[ListeningClip], dict[str, list[Path]]]:
    """Return the clips of an experiment, and the files of each row's estimates of its first target.

    Parameters
    ----------
    tables
        The tables of the experiment.
    runs
        The folder that holds all cells.

    Returns
    -------
    clips
        Empty where none were chosen.
    files
        By row, a file for each clip; a row whose cells wrote none is left out.
    """
    first_cells: dict[str, CellFolder] = {}
    for outcome in tables.results.outcomes:
        first_cells.setdefault(outcome.cell.row, CellFolder(runs, outcome.cell))
    digests = {folder.cell.digests["test"] for folder in first_cells.values()}
    clips = [clip for digest in sorted(digests) for clip in listening.read_clips(runs, digest)]
    target = tables.results.experiment.table.targets[0]
    files_of = {
        row.label: paths
        for row in _with_estimates(tables)
        if (paths := listening.estimate_files(first_cells[row.label], clips, target)) is not None
    }
    return clips, files_of


def _with_estimates(tables: ReportTables) -> list[Row]:
    """Return the finished rows that separate: not the mixture itself, nor imported scores."""
    return [
        row
        for row in tables.rows
        if row.status == "done" and row.method != "mixture" and row.group != "imported"
    ]


def _track(
    tables: ReportTables,
    clip: ListeningClip,
    target: str,
    signals: Sequence[_Signal],
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the facts of one track and its files.

    Parameters
    ----------
    tables
        The tables of the experiment.
    clip
        Part of the track that is shown.
    target
        Target whose estimates are shown.
    signals
        What is shown: the mixture first, then the true target, then the rows.
    """
    experiment = tables.results.experiment
    protocol = experiment.protocols[0]
    over_tracks = experiment.metrics(protocol)[0]
    by_row = {row: t for (row, m), t in tables.tracks[protocol, target].items() if m == over_tracks}
    shared = tables.results.shares_audio
    loudest = float(_magnitudes(signals[0].path).max()) or 1.0
    files: dict[str, bytes] = {}
    entries = []
    for n, signal in enumerate(signals):
        picture, audio = (
            f"pictures/{clip.role}-{n:02d}.webp",
            f"audio/{clip.role}-{n:02d}.flac",
        )
        files[picture] = _picture(_magnitudes(signal.path), loudest)
        if shared:
            files[audio] = signal.path.read_bytes()
        score = by_row[signal.row].on_track(clip.track) if signal.row in by_row else np.nan
        entries.append(
            {
                "label": signal.label,
                "kind": signal.kind,
                "score": score if np.isfinite(score) else None,
                "picture": picture,
                "audio": audio if shared else None,
            }
        )
    facts = {
        "role": clip.role,
        "key": clip.key,
        "track": clip.track,
        "target": target,
        "metric": metric_of_track(protocol, over_tracks),
        "start_s": clip.start / clip.rate,
        "duration_s": (clip.stop - clip.start) / clip.rate,
        "top_hz": min(TOP, clip.rate / 2),
        "signals": entries,
    }
    return facts, files


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file by path."""
    return {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)}


def _magnitudes(path: Path) -> NDArray[np.float64]:
    """Return magnitudes ``(bins, frames)`` of an audio file up to `TOP`, mean over channels."""
    import soundfile

    audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
    size = 1024 if rate <= 24_000 else 2048
    magnitudes = np.abs(stft.forward(audio.T.copy(), size, size // 4)).mean(axis=0)
    return np.asarray(magnitudes[: int(np.ceil(TOP * size / rate)) + 1])


def _picture(magnitudes: NDArray[np.float64], loudest: float) -> bytes:
    """Return magnitudes ``(bins, frames)`` as WebP in matplotlib's magma.

    Low frequencies are at the foot. White is the magnitude `loudest`, black is `RANGE_DB` below.
    """
    import matplotlib as mpl
    from PIL import Image

    level = 20 * np.log10(np.maximum(magnitudes / loudest, 1e-12))
    values = np.clip(1 + level / RANGE_DB, 0, 1)
    colours = (255 * mpl.colormaps["magma"](values[::-1])[..., :3]).astype(np.uint8)
    drawn = Image.fromarray(colours).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    sink = io.BytesIO()
    drawn.save(sink, "WEBP", quality=WEBP_QUALITY, method=6)
    return sink.getvalue()
