"""Which pictures and audio of a finished sweep go to a store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.store.manifest import Manifest, load_manifest
from bench.tracking.media import log_examples
from tests.command import run_in

EXPERIMENT = """\
title: Seen and heard
why: A test.
dataset: synthetic
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ideal ratio mask}
"""


class Store:
    """Notes what is logged, in place of MLflow's client."""

    def __init__(self, uri: str) -> None:
        self.tracking_uri = uri
        self.pictures: list[str] = []
        self.audio: list[str] = []

    def list_artifacts(self, run_id: str, path: str) -> list[str]:
        return []

    def log_image(self, run_id: str, image: object, key: str, step: int) -> None:
        self.pictures.append(key)

    def log_artifact(self, run_id: str, path: str, folder: str) -> None:
        self.audio.append(Path(path).name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, empty_store) -> Path:
    return run_in(tmp_path_factory.mktemp("seen"), "seen.yaml", EXPERIMENT, empty_store)


@pytest.mark.parametrize(
    ("uri", "shares_audio", "is_heard"),
    [
        ("https://mlflow.example.org", True, True),
        ("https://mlflow.example.org", False, False),
        ("sqlite:////here/mlflow.db", False, True),
    ],
)
def test_audio_that_may_not_be_passed_on_goes_to_no_other_machine(
    folder, uri, shares_audio, is_heard
):
    manifest: Manifest = load_manifest(folder / "runs", "seen")
    corpus = {**manifest.corpus, "shares_audio": shares_audio}
    manifest = dataclasses.replace(manifest, corpus=corpus)
    store = Store(uri)
    runs = {cell.path: str(n) for n, cell in enumerate(manifest.folders)}
    log_examples(store, manifest, folder / "reports" / "seen", runs)
    assert store.pictures
    assert bool(store.audio) == is_heard
