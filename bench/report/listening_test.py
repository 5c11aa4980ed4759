"""The making of a listening test: which rows are heard, at which level, against which anchor.

The test is of the kind of ITU-R BS.1534-3 (MUSHRA). A trial is a track: the reference is known, and
listeners rate the estimates of the rows, a hidden copy of the reference, and an anchor, the
reference without what lies above 3.5 kHz. All signals are brought to the loudness of the reference
(ITU-R BS.1770-4, by pyloudnorm), and those of a trial then to one gain under which none clips.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from bench.errors import BenchError, nearest
from bench.report.examples import estimate_clips
from bench.report.formats.listening_page import listening_page
from bench.report.rows import GROUP_TITLES
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import from_best
from bench.store import listening
from bench.store.files import make_folder, refuse_link, write_bytes
from bench.store.ratings import ListeningKey, Stimulus, known_keys, make_key, write_key
from bench.store.workspace import Workspace

#: Most signals of a trial, with the hidden reference and the anchor (BS.1534-3, section 5.3).
MOST_SIGNALS = 12
#: Edges in hertz of what the anchor keeps and loses, and the loss in dB (BS.1534-3, section 5.1).
_PASS_HZ, _STOP_HZ, _STOP_DB = 3_500.0, 4_000.0, 50.0
#: No signal is made louder or softer than this in dB: the noise of a silent estimate stays soft.
_MOST_GAIN_DB = 20.0
#: Largest peak of any signal after its gain.
_PEAK = 0.9

_Signal = NDArray[np.float64]


def write_listening_test(
    tables: ReportTables, workspace: Workspace, labels: Sequence[str] = ()
) -> tuple[Path, ListeningKey]:
    """Write the page of a listening test, and its key beside the cells.

    A page of the same estimates is written again under the same names, so that answers to either
    count.

    Parameters
    ----------
    tables
        The tables of the experiment.
    workspace
        The working directory. The page goes into the folder of the report where the corpus may be
        passed on, else beside the key.
    labels
        The rows to hear; none: the best of the first metric, as many as a trial may have.

    Returns
    -------
    page
        Its path.
    key
        What it holds.

    Raises
    ------
    BenchError
        No cell has kept clips, a row is unknown or has none, or there are too many rows.
    """
    experiment = tables.results.experiment
    clips, files_of = estimate_clips(tables, workspace.runs)
    if not clips or not files_of:
        raise BenchError(
            f"{experiment.name} has nothing to hear: its cells kept no clips; those of an "
            "experiment with examples: true do"
        )
    target = experiment.table.targets[0]
    true = [listening.true_signals(workspace.runs, clip) for clip in clips]
    groups = {row.label: row.group for row in tables.rows}
    for row in tables.rows:
        if row.method == "mixture" and row.status == "done":
            files_of[row.label] = [signals["mixture"] for signals in true]
    rows = _rows(tables, files_of, labels)
    trials = [
        {
            ("Hidden reference", "reference"): signals[target].read_bytes(),
            ("Anchor", "anchor"): _anchor(signals[target]),
            **{(label, groups[label]): files_of[label][n].read_bytes() for label in rows},
        }
        for n, signals in enumerate(true)
    ]
    cells: dict[str, list[str]] = {}
    for outcome in tables.results.outcomes:
        cells.setdefault(outcome.cell.row, []).append(outcome.cell.fingerprint)
    stimuli = [
        Stimulus(
            label=label,
            kind=kind,
            sha256=_digest([trial[label, kind] for trial in trials]),
            cells=cells[label] if kind in GROUP_TITLES else [],
        )
        for label, kind in trials[0]
    ]
    key = make_key(target, stimuli, {clip.track: clip.role for clip in clips})
    for known in known_keys(workspace.runs, experiment.name):
        if (known.target, known.stimuli) == (target, stimuli):
            key = known
    folder = workspace.reports if tables.results.shares_audio else workspace.runs / "listening"
    write_key(workspace.runs, experiment.name, key)
    path = folder / experiment.name / "listening.html"
    refuse_link(path.parent)
    make_folder(path.parent)
    heard = [
        _trial(trial.id, trial.names, list(signals.values()))
        for trial, signals in zip(key.trials, trials, strict=True)
    ]
    page = listening_page(experiment.name, experiment.title, key.test, target, heard)
    write_bytes(path, page.encode())
    return path, key


def _rows(
    tables: ReportTables, files_of: Mapping[str, Sequence[Path]], labels: Sequence[str]
) -> list[str]:
    """Return the rows to hear: those that separate in the order of the table, then the mixture."""
    most = MOST_SIGNALS - 2
    for label in labels:
        if label not in files_of:
            hint = nearest(label, files_of)
            raise BenchError(f"--rows {label}: no row of that name has clips; {hint}")
    if len(set(labels)) > most:
        raise BenchError(f"--rows: {len(set(labels))} rows; a trial holds {most} at most")
    if labels:
        return [label for label in files_of if label in labels]
    metric = tables.parts[0].metrics[0]
    value = {line.row.label: line.entries[metric].value for line in tables.parts[0].lines}
    heard = sorted(files_of, key=lambda label: from_best(metric, value[label]))[:most]
    return [label for label in files_of if label in heard]


def _trial(name: str, stimuli: Sequence[str], files: Sequence[bytes]) -> dict[str, Any]:
    """Return a trial as its page holds it: audio in base64, each with the gain to play it with."""
    signals = [_decoded(content) for content in files]
    levels = [_loudness(audio, rate) for audio, rate in signals]
    gains_db = [np.clip(levels[0] - level, -_MOST_GAIN_DB, _MOST_GAIN_DB) for level in levels]
    gains = 10 ** (np.nan_to_num(np.asarray(gains_db), nan=0.0) / 20)
    peak = max(float(np.abs(a).max()) * g for (a, _), g in zip(signals, gains, strict=True))
    gains *= min(1.0, _PEAK / peak) if peak > 0 else 1.0
    encoded = [
        {"name": n, "audio": base64.b64encode(content).decode(), "gain": round(float(gain), 4)}
        for n, content, gain in zip(stimuli, files, gains, strict=True)
    ]
    reference = {"audio": encoded[0]["audio"], "gain": encoded[0]["gain"]}
    return {"id": name, "reference": reference, "stimuli": sorted(encoded, key=lambda e: e["name"])}


def _loudness(audio: _Signal, rate: int) -> float:
    """Return the integrated loudness of audio ``(samples, channels)`` in LUFS; -inf for silence."""
    import pyloudnorm

    block_s = min(0.4, 0.99 * len(audio) / rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(pyloudnorm.Meter(rate, block_size=block_s).integrated_loudness(audio))


def _anchor(path: Path) -> bytes:
    """Return the anchor of a reference as FLAC; without such frequencies it is the same signal."""
    import soundfile

    audio, rate = _decoded(path.read_bytes())
    if rate > 2 * _STOP_HZ:
        n_taps, beta = scipy.signal.kaiserord(_STOP_DB, (_STOP_HZ - _PASS_HZ) / (rate / 2))
        middle = (_PASS_HZ + _STOP_HZ) / 2
        taps = scipy.signal.firwin(n_taps | 1, middle, window=("kaiser", beta), fs=rate)
        audio = scipy.signal.oaconvolve(audio, taps[:, None], mode="same", axes=0)
    sink = io.BytesIO()
    soundfile.write(sink, np.clip(audio, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def _decoded(content: bytes) -> tuple[_Signal, int]:
    """Return audio ``(samples, channels)`` and its rate in hertz."""
    import soundfile

    audio, rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
    return audio, rate


def _digest(files: Sequence[bytes]) -> str:
    """Return the SHA-256 of the digests of several files."""
    digests = (hashlib.sha256(content).digest() for content in files)
    return hashlib.sha256(b"".join(digests)).hexdigest()
