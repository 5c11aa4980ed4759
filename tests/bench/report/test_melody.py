"""The pitch that methods follow, from labelled clips to the table of the report."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from baselines.pitch import PitchMask
from bench.datasets.synthetic import Synthetic
from bench.track import Track
from tests.command import bench

EXPERIMENT = """\
title: Pitch
why: How well is the voice's pitch followed?
dataset: mir1k
protocols: [bss_eval_v3, melody]
table: {targets: [vocals], metrics: [gnsdr, raw_pitch, voicing_recall, voicing_false_alarm]}
examples: false
methods:
  - {method: hsu_jang, label: Pitch-based inference, fixed: {filters: 16, components: 2}}
  - {method: pitch, label: Pitch comb}
  - {method: mixture, label: Mixture}
"""


def write_clip(root: Path, name: str, track: Track) -> None:
    """Write a synthetic track as a clip of MIR-1K, its voice's pitch by pYIN as labels."""
    for folder in ("Wavfile", "PitchLabel"):
        (root / "MIR-1K" / folder).mkdir(parents=True, exist_ok=True)
    channels = [track.references[target][0] for target in ("accompaniment", "vocals")]
    audio = np.stack(channels, axis=1)[: 3 * track.rate]
    soundfile.write(root / f"MIR-1K/Wavfile/{name}.wav", audio / np.abs(audio).max(), track.rate)
    pitch = PitchMask(tracked="mixture").followed_pitch(audio[None, :, 1], track.rate)
    times_s = np.arange(1, 150) * 0.02
    hertz = pitch.hertz[np.abs(pitch.times_s[:, None] - times_s).argmin(axis=0)]
    labels = np.where(hertz > 0, 69 + 12 * np.log2(np.maximum(hertz, 1.0) / 440), 0.0)
    text = "".join(f"{label:.4f}\n" for label in labels)
    (root / f"MIR-1K/PitchLabel/{name}.pv").write_text(text)


@pytest.fixture
def clips(workspace: Path) -> Path:
    """A folder with six short synthetic clips in MIR-1K's layout."""
    data = Synthetic()
    train, test = data.tracks("train"), data.tracks("test")
    for n in range(3):
        write_clip(workspace / "clips", f"amy_1_0{n + 1}", train[n])
    write_clip(workspace / "clips", "amy_9_08", data.tracks("dev")[0])
    for n in range(2):
        write_clip(workspace / "clips", f"Ani_1_0{n + 1}", test[n])
    return workspace / "clips"


def test_methods_that_follow_a_pitch_are_scored_by_it_and_others_have_none(workspace, clips):
    (workspace / "pitch.yaml").write_text(EXPERIMENT)
    assert bench("run", "pitch.yaml", "--data", str(clips), "--workers", "0") == 0
    report = workspace / "reports" / "pitch"
    with (report / "rows.csv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["metric"] == "raw_pitch"]
    values = {line["row"]: line for line in lines if line["target"] == "vocals"}
    assert float(values["Pitch-based inference"]["value"]) > 60
    assert 5 < float(values["Pitch comb"]["value"]) < 60
    assert values["Mixture"]["status"] == "undefined"
    text = (report / "table.md").read_text()
    assert "Raw pitch ↑" in text and "Voicing false alarm ↓" in text
    assert bench("report", "pitch", "--check") == 0
