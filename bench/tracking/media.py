"""Pictures and audio on a run: the progress of its training, and three separated tracks.

Audio of a corpus that may not be passed on is logged only in a store on this machine.
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

#: Folder of the clips among the artifacts of a run, and beginning of the names of their pictures.
AUDIO, PICTURE = "audio", "spectrogram"


def log_pictures(client: MlflowClient, run_id: str, folder: CellFolder) -> None:
    """Log those pictures of a training, by step, that the run does not have yet."""
    from PIL import Image

    pictures = folder.pictures()
    if not pictures:
        return
    # MLflow writes the small copy of a picture last; its name begins with key and step.
    logged = {
        Path(artifact.path).name.split("+timestamp+")[0]
        for artifact in client.list_artifacts(run_id, "images")
        if artifact.path.endswith("+compressed.webp")
    }
    for step, name, path in pictures:
        if f"{name}+step+{step}" not in logged:
            with Image.open(path) as picture:
                client.log_image(run_id, picture, key=name, step=step)


def log_examples(
    client: MlflowClient, manifest: Manifest, report: Path, runs: Mapping[Path, str]
) -> None:
    """Log the three tracks that a report shows: spectrograms, and audio where that is allowed.

    Parameters
    ----------
    client
        Client of the store.
    manifest
        The experiment and its cells.
    report
        Folder of the report.
    runs
        Id of the run of each cell by the path of its folder.
    """
    facts = read_json(report / "provenance.json") or {}
    examples: Sequence[Mapping[str, Any]] = facts.get("examples", [])
    if not examples:
        return
    with_audio = bool(manifest.corpus.get("shares_audio")) or is_local(client.tracking_uri)
    logged_rows = set()
    for folder in manifest.folders:
        cell = folder.cell
        if cell.row in logged_rows:
            continue
        logged_rows.add(cell.row)  # the report shows the first seed of a row
        if folder.path not in runs:
            continue
        run_id = runs[folder.path]
        pictures = client.list_artifacts(run_id, "images")
        if any(picture.path.startswith(f"images/{PICTURE}_") for picture in pictures):
            continue
        for example in examples:
            _log_example(client, run_id, folder, example, report, with_audio)


def _log_example(
    client: MlflowClient,
    run_id: str,
    folder: CellFolder,
    example: Mapping[str, Any],
    report: Path,
    with_audio: bool,
) -> None:
    """Log the spectrogram of one track on the run of a cell, and its audio if asked."""
    from PIL import Image

    role, target = example["role"], example["target"]
    for signal in example["signals"]:
        if signal["label"] == folder.cell.row and signal["kind"] == folder.cell.group:
            with Image.open(report / signal["picture"]) as picture:
                client.log_image(run_id, picture.convert("RGB"), key=f"{PICTURE}_{role}", step=0)
    clip = folder.path / "examples" / f"{example['key']}-{target}.flac"
    if with_audio and clip.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            renamed = Path(scratch) / f"{role}-{target}.flac"
            shutil.copyfile(clip, renamed)
            client.log_artifact(run_id, str(renamed), AUDIO)


def is_local(uri: str) -> bool:
    """Return whether a store is on this machine.

    Examples
    --------
    >>> is_local("sqlite:////a/mlflow.db"), is_local("http://127.0.0.1:5000")
    (True, True)
    >>> is_local("https://mlflow.example.org"), is_local("databricks")
    (False, False)
    """
    parts = urlsplit(uri)
    is_file = parts.scheme in ("sqlite", "file") and not parts.hostname
    return is_file or parts.hostname in ("localhost", "127.0.0.1", "::1")
