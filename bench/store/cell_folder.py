"""Folder of a cell: the state from which a run resumes.

    runs/<fingerprint>/
        cell.json          description of the cell
        claim.<n>.json     process that computes it; see `bench.store.claim`
        state.json         stage and progress as last written; or failed: the traceback
        curves.jsonl       metrics of the training, one line per step
        pictures/          pictures of the training at some steps
        examples/          clips of the estimates of three tracks; see `bench.store.listening`
        checkpoints/       of a training that has not ended
        call.json          calls the other hosts to a training on several; see `bench.runner.hosts`
        fit/               the trained method; fit.json beside it is written last
        estimates/         of an experiment that keeps them; see `bench.store.estimates`
        mlflow.json        ids of the MLflow runs that recorded the cell; see `bench.tracking`
        mlflow.lock        lock of the process that records it
        scores/<key>.parquet, and <key>.json, written last: the marker of finished scores

A file is written under another name and then renamed, so that it appears whole; ``curves.jsonl``
alone grows by lines, and ``fit/`` counts only where ``fit.json`` is there. A score counts as
finished only where its marker is there and gives the hash of the file beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.plan.cells import Cell
from bench.store.facts import CurveLine, FitFacts, Progress, ScoreFacts, State
from bench.store.files import file_hashes, make_folder, read_json, write_bytes, write_text

if TYPE_CHECKING:
    import pandas as pd


class CellFolder:
    """Files of a cell on disk.

    Parameters
    ----------
    runs
        The folder that holds all cells.
    cell
        The cell.
    """

    def __init__(self, runs: Path, cell: Cell) -> None:
        self.cell = cell
        self.path = runs / cell.fingerprint[:32]

    @property
    def fit_folder(self) -> Path:
        """Folder of the trained method."""
        return self.path / "fit"

    @property
    def shared_folder(self) -> Path:
        """Cache of arrays that several trainings or rows compute alike, shared by all cells."""
        return self.path.parent / "shared_work"

    def is_done(self) -> bool:
        """Return whether the scores under every protocol are there and whole."""
        return all(self.scores_bytes(name) is not None for name in self.cell.protocols)

    def is_damaged(self) -> bool:
        """Return whether finished scores differ from what was written."""
        return any(
            self._scores_path(name).with_suffix(".json").is_file()
            and self.scores_bytes(name) is None
            for name in self.cell.protocols
        )

    def is_fitted(self) -> bool:
        """Return whether the trained method is there, whole and as it was written."""
        files = self.fit_facts().get("files")
        return bool(files) and files == file_hashes(self.fit_folder)

    def state(self) -> dict[str, Any]:
        """Return stage and progress as last written; empty for a cell never begun."""
        state = read_json(self.path / "state.json") or {}
        return (Progress if "total" in state else State).checked(state)

    def state_after(self, moment: float) -> dict[str, Any]:
        """Return the state if it was written after a moment, else an empty mapping.

        Parameters
        ----------
        moment
            In seconds since the epoch by the clock of `server_time`.
        """
        try:
            written = (self.path / "state.json").stat().st_mtime
        except OSError:
            return {}
        return self.state() if written > moment else {}

    def write_state(self, stage: str, **values: Any) -> None:
        """Write stage and progress of a running cell."""
        state = {
            "stage": stage,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
        }
        write_text(self.path / "state.json", json.dumps({**state, **values}))

    def fail(self, reason: str, trace: str) -> None:
        """Record that the cell failed.

        Raises
        ------
        FolderError
            The folder cannot be written.
        """
        make_folder(self.path)
        self.write_state("failed", error=reason, traceback=trace)

    def begin(self) -> None:
        """Create the folder, describe the cell in it, and remove half-written files.

        Raises
        ------
        FolderError
            The folder cannot be written.
        """
        make_folder(self.path)
        for part in self.path.rglob(".*.part"):
            if not part.name.startswith(".mlflow"):  # that one may be written right now
                part.unlink(missing_ok=True)
        write_text(self.path / "cell.json", json.dumps(self.cell.to_json(), indent=1) + "\n")

    def call(self, claim: str) -> None:
        """Call the other hosts to the training that begins now.

        Parameters
        ----------
        claim
            File name of the claim under which it is trained.
        """
        content = {"call": secrets.token_hex(8), "claim": claim}
        write_text(self.path / "call.json", json.dumps(content))

    def latest_call(self, claim: str) -> str | None:
        """Return an identifier of the latest call under a claim; None if there was none.

        A call under another claim is of a run that has ended since.
        """
        content = read_json(self.path / "call.json") or {}
        identifier: str | None = content.get("call") if content.get("claim") == claim else None
        return identifier

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line to the curves."""
        line = json.dumps({"step": step, "time": time.time(), "values": dict(values)})
        with (self.path / "curves.jsonl").open("a") as file:
            file.write(f"\n{line}\n")  # a line that a crash has cut ends here

    def curves(self) -> list[dict[str, Any]]:
        """Return the lines of the curves; where a step was repeated after a crash, the last."""
        path = self.path / "curves.jsonl"
        lines: dict[int, dict[str, Any]] = {}
        if path.is_file():
            for text in path.read_bytes().splitlines():
                try:
                    line = CurveLine.checked(json.loads(text))
                except (ValueError, RecursionError):  # empty, no UTF-8, or cut by a crash
                    continue
                if line:
                    lines[line["step"]] = line
        return list(lines.values())

    def clear_curves(self) -> None:
        """Remove the curves and pictures of a training that begins anew."""
        (self.path / "curves.jsonl").unlink(missing_ok=True)
        shutil.rmtree(self.path / "pictures", ignore_errors=True)

    def add_picture(self, step: int, name: str, values: NDArray[np.floating]) -> None:
        """Keep values in [0, 1], ``(bins, frames)``, as a grey picture of a step of training."""
        from PIL import Image

        grey = np.clip(np.rint(255 * values[::-1]), 0, 255).astype(np.uint8)
        sink = io.BytesIO()
        Image.fromarray(grey).save(sink, "PNG")
        folder = self.path / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / f"{step:06d}-{name}.png", sink.getvalue())

    def pictures(self) -> list[tuple[int, str, Path]]:
        """Return step, name and file of each picture, in order."""
        paths = sorted((self.path / "pictures").glob("??????-*.png"))
        return [(int(path.stem[:6]), path.stem[7:], path) for path in paths]

    def mark_fitted(self, facts: Mapping[str, Any]) -> None:
        """Record that the trained method is whole, with facts of the training."""
        value = {**facts, "files": file_hashes(self.fit_folder)}
        write_text(self.path / "fit.json", json.dumps(value, indent=1) + "\n")

    def fit_facts(self) -> dict[str, Any]:
        """Return the recorded facts of the training."""
        return FitFacts.checked(read_json(self.path / "fit.json"))

    def write_scores(
        self, protocol_name: str, scores: pd.DataFrame, facts: Mapping[str, Any]
    ) -> None:
        """Write the scores under a protocol, and last the marker that they are whole."""
        path = self._scores_path(protocol_name)
        make_folder(path.parent)
        buffer = io.BytesIO()
        scores.to_parquet(buffer, index=False)
        write_bytes(path, buffer.getvalue())
        marker = {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), **facts}
        write_text(path.with_suffix(".json"), json.dumps(marker, indent=1) + "\n")

    def _scores_path(self, protocol_name: str) -> Path:
        return self.path / "scores" / f"{self.cell.score_key(protocol_name)}.parquet"

    def scores_bytes(
        self, protocol_name: str, facts: Mapping[str, Any] | None = None
    ) -> bytes | None:
        """Return the file of the finished scores under a protocol, or None.

        Parameters
        ----------
        protocol_name
            Name of the protocol.
        facts
            What `score_facts` gives for it, where that was just read.
        """
        marker = self.score_facts(protocol_name) if facts is None else facts
        try:
            content = self._scores_path(protocol_name).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == marker.get("sha256") else None

    def scores(self, protocol_name: str) -> pd.DataFrame | None:
        """Return the finished scores under a protocol, or None."""
        content = self.scores_bytes(protocol_name)
        if content is None:
            return None
        import pandas as pd

        return pd.read_parquet(io.BytesIO(content))

    def score_facts(self, protocol_name: str) -> dict[str, Any]:
        """Return the recorded facts of the scores; empty where their file is missing or damaged."""
        return ScoreFacts.checked(read_json(self._scores_path(protocol_name).with_suffix(".json")))
