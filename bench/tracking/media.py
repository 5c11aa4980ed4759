"""Pictures and sounds on a run: what training looked like, and three tracks as it separates them.

Audio of a corpus whose licence forbids passing it on goes only into a store on this machine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.store.cell_folder import CellFolder
from bench.store.files import read_json
from bench.store.manifest import Manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Folder of the clips among a run's artifacts, and what the names of their pictures begin with.
AUDIO, PICTURE = "audio", "spectrogram"


def log_pictures(client: MlflowClient, run_id: str, folder: CellFolder) -> None:
    """Log the pictures of a training by step, unless the run has pictures."""
    from PIL import Image

    if folder.pictures() and not client.list_artifacts(run_id, "images"):
        for step, name, path in folder.pictures():
            with Image.open(path) as picture:
                client.log_image(run_id, picture, key=name, step=step)


def log_examples(
    client: MlflowClient, manifest: Manifest, report: Path, runs: Mapping[Path, str]
) -> None:
    """Log the three tracks that a report shows: spectrograms, and audio where it may go.

    Parameters
    ----------
    client
        Of the store.
    manifest
        The experiment and its cells.
    report
        Its folder, with the pictures and with what it tells of them.
    runs
        The run of a cell's folder, by its path.
    """
    told: Sequence[Mapping[str, Any]] = (read_json(report / "provenance.json") or {}).get(
        "examples", []
    )
    if not told:
        return
    heard = bool(manifest.corpus.get("shares_audio")) or is_local(client.tracking_uri)
    shown = set()
    for folder in manifest.folders:
        cell = folder.cell
        if cell.row in shown or folder.path not in runs:
            continue  # the first seed is what the report shows
        shown.add(cell.row)
        run_id = runs[folder.path]
        pictures = client.list_artifacts(run_id, "images")
        if any(picture.path.startswith(f"images/{PICTURE}_") for picture in pictures):
            continue
        for example in told:
            log_example(client, run_id, folder, example, report, heard)


def log_example(
    client: MlflowClient,
    run_id: str,
    folder: CellFolder,
    example: Mapping[str, Any],
    report: Path,
    heard: bool,
) -> None:
    """Log one track on the run of a cell, with its sound if it may be `heard`."""
    from PIL import Image

    role, target = example["role"], example["target"]
    for signal in example["signals"]:
        if signal["label"] == folder.cell.row and signal["kind"] == folder.cell.group:
            with Image.open(report / signal["picture"]) as picture:
                client.log_image(run_id, picture.convert("RGB"), key=f"{PICTURE}_{role}", step=0)
    sound = folder.path / "examples" / f"{example['key']}-{target}.flac"
    if heard and sound.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            named = Path(scratch) / f"{role}-{target}.flac"
            shutil.copyfile(sound, named)
            client.log_artifact(run_id, str(named), AUDIO)


def is_local(uri: str) -> bool:
    """Tell whether a store is on this machine.

    Examples
    --------
    >>> is_local("sqlite:////a/mlflow.db"), is_local("http://127.0.0.1:5000")
    (True, True)
    >>> is_local("https://mlflow.example.org")
    False
    """
    here = {None, "localhost", "127.0.0.1", "::1"}
    return uri.startswith("sqlite:") or urlsplit(uri).hostname in here
