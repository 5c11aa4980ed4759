"""Estimates that an experiment keeps, so that a new protocol scores them without separating again.

    runs/<fingerprint>/estimates/<test split>/<track>/
        vocals.wav, accompaniment.wav    64-bit floats: to the bit what was scored
        kept.json                        their hashes, written last

It is the layout that ``bench score`` reads. A sample of a target takes 8 bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.datasets.folder import load_estimates
from bench.errors import BenchError
from bench.store.cell_folder import CellFolder
from bench.store.files import file_hashes, make_folder, read_json, write_bytes
from bench.track import TARGETS, Audio, Track


def home(folder: CellFolder, track: Track) -> Path:
    """Return the folder of a track's estimates.

    Raises
    ------
    BenchError
        The track's name cannot be the name of a folder.
    """
    if track.name.startswith(".") or Path(track.name).name != track.name:
        raise BenchError(
            f"estimates of track {track.name!r} cannot be kept: no folder can have that name"
        )
    return folder.path / "estimates" / folder.cell.separated_digest[:16] / track.name


def keep(
    folder: CellFolder, track: Track, estimates: Mapping[str, Audio], separate_s: float
) -> None:
    """Keep the estimates of a track, and the time in seconds that their separation took."""
    import soundfile

    track_folder = home(folder, track)
    make_folder(track_folder)
    for target in TARGETS:
        buffer = io.BytesIO()
        audio = np.asarray(estimates[target], dtype=np.float64).T
        soundfile.write(buffer, audio, track.rate, format="WAV", subtype="DOUBLE")
        write_bytes(track_folder / f"{target}.wav", buffer.getvalue())
    marker = {"separate_s": separate_s, "files": wav_hashes(track_folder)}
    write_bytes(track_folder / "kept.json", json.dumps(marker, indent=1).encode() + b"\n")


def kept(folder: CellFolder, track: Track) -> tuple[dict[str, Audio], float] | None:
    """Return the kept estimates and their separation time in seconds; None if not kept whole."""
    if not (folder.path / "estimates").is_dir():
        return None
    track_folder = home(folder, track)
    marker = read_json(track_folder / "kept.json")
    if marker is None or marker.get("files") != wav_hashes(track_folder):
        return None
    seconds = marker.get("separate_s")
    if not isinstance(seconds, int | float):  # damaged
        return None
    return load_estimates(track_folder.parent, track), float(seconds)


def has_kept(folder: CellFolder) -> bool:
    """Return whether a cell has kept estimates, of any of its tracks."""
    return any((folder.path / "estimates").glob("*/*/kept.json"))


def wav_hashes(track_folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each target's file by name."""
    return {name: sha for name, sha in file_hashes(track_folder).items() if name.endswith(".wav")}
