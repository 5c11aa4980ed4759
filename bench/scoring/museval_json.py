"""Scores as museval writes them, a JSON file a track: what the field's tools read and publish.

    {"targets": [{"name": "vocals", "frames": [{"time": 0.0, "duration": 1.0,
                  "metrics": {"SDR": 5.1, "SIR": 9.8, "ISR": 11.2, "SAR": 6.0}}, ...]}, ...]}

in ``DIR/test/<track>.json``. Times count windows of the protocol ``museval``, which last one second
at 44.1 kHz and longer at lower rates. Values have five decimals; one that is undefined or infinite
is NaN, as museval writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError, check_text
from bench.scoring.protocols import Museval, ScoreRow
from bench.track import TARGETS

PROTOCOL = "museval"
_MUSEVAL_METRICS = ("sdr", "sir", "isr", "sar")


def write(scores: pd.DataFrame, folder: Path) -> list[Path]:
    """Write scores under the protocol ``museval``, a file a track.

    Parameters
    ----------
    scores
        Tidy rows, see `bench.scoring.protocols.ScoreRow`.
    folder
        They go to ``test`` below it, where museval looks.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    BenchError
        The name of a track is no name of a file, or the folder cannot be written.
    """
    home = folder / "test"
    tracks = scores[scores["protocol"] == PROTOCOL].groupby("track")
    for name in map(str, tracks.groups):
        if Path(name).name != name:
            raise BenchError(f"track {name!r} is no name of a file; nothing was written")
    try:
        home.mkdir(parents=True, exist_ok=True)
        paths = []
        for track, rows in tracks:
            text = json.dumps({"targets": [target(rows, name) for name in TARGETS]}, indent=2)
            path = home / f"{track}.json"
            part = path.with_name(f".{path.name}.part")
            part.write_text(text + "\n")
            part.replace(path)
            paths.append(path)
    except OSError as error:
        raise BenchError(f"{home} cannot be written: {error.strerror}") from None
    return paths


def target(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return one target of a track as museval writes it."""
    of_target = rows[rows["target"] == name]
    frames = [
        {
            "time": float(str(window)),
            "duration": 1.0,
            "metrics": {
                metric.upper(): _five_decimals(float(value))
                for metric, value in zip(scores["metric"], scores["value"], strict=True)
            },
        }
        for window, scores in of_target.groupby("window")
    ]
    return {"name": name, "frames": frames}


def _five_decimals(value: float) -> float:
    """Return a value with five decimals, NaN for one that is not finite."""
    return round(value, 5) if math.isfinite(value) else math.nan


def read_museval(folder: Path) -> list[ScoreRow]:
    """Return the scores of voice and accompaniment in a folder of such files.

    Other targets, such as drums, are passed over.

    Parameters
    ----------
    folder
        The folder of the files, or one that holds them in its folder ``test``.

    Raises
    ------
    BenchError
        There is no file, or one that museval would not have written, or a name holds control
        characters.
    """
    home = folder / "test" if (folder / "test").is_dir() else folder
    paths = sorted(home.glob("[!.]*.json"))
    if not paths:
        raise BenchError(f"no scores: looked for {folder}/test/<track>.json and {folder}/*.json")
    for path in paths:
        check_text("the name of a file of scores", path.stem)
    return [row for path in paths for row in _track_rows(path)]


def _track_rows(path: Path) -> list[ScoreRow]:
    """Return the scores in one file.

    Raises
    ------
    BenchError
        It is not of the form above.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        frames = {t["name"]: t["frames"] for t in content["targets"] if t["name"] in TARGETS}
        rows = [
            ScoreRow(
                track=path.stem,
                target=name,
                protocol=PROTOCOL,
                metric=metric,
                window=window,
                value=_number(frame["metrics"][metric.upper()]),
                n_samples=len(frames[name]) * Museval.WINDOW,
            )
            for name in TARGETS
            if name in frames
            for window, frame in enumerate(_in_order(frames[name]))
            for metric in _MUSEVAL_METRICS
        ]
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BenchError(f"{path} is no score file of museval ({reason})") from None
    if not rows:
        raise BenchError(f"{path} has no scores of {' or '.join(TARGETS)}")
    return rows


def _in_order(frames: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return frames of one second by their time."""
    if any(abs(float(frame["duration"]) - 1.0) > 1e-6 for frame in frames):
        raise ValueError("windows are not of 1 s")
    return sorted(frames, key=lambda frame: float(frame["time"]))


def _number(value: Any) -> float:
    """Return a score; NaN where it is NaN or null.

    Raises
    ------
    TypeError
        It is no number.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
