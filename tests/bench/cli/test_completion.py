"""Shell completion: offered, and it knows experiments, methods and datasets."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from bench.cli.main import app
from bench.cli.options import complete_dataset, complete_experiment, complete_file, complete_method


def completed(line: str) -> list[str]:
    """Return what the shell would offer at the end of a command line."""
    words = line.split(" ")
    environment = {
        "_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    return CliRunner().invoke(app, [], prog_name="bench", env=environment).output.split()


def test_commands_and_options_are_completed(workspace):
    assert completed("bench se") == ["separate"]
    assert "--scheduler" in completed("bench run --sche")


def test_names_are_completed_where_they_are_asked_for(workspace):
    Path("experiments").mkdir()
    Path("experiments/quick.yaml").touch()
    Path("runs/experiments").mkdir(parents=True)
    Path("runs/experiments/quiet.json").touch()
    assert completed("bench run exp") == ["experiments/quick.yaml"]
    assert completed("bench status qu") == ["quiet"]
    assert "rpca" in completed("bench separate a.wav --with rp")
    assert completed("bench score mir1k_held_out_s") == [
        "mir1k_held_out_singer",
        "mir1k_held_out_songs",
    ]
    assert completed("bench list me") == ["methods"]


def test_nothing_is_offered_where_nothing_begins_so(workspace):
    for complete in (complete_dataset, complete_experiment, complete_file, complete_method):
        assert list(complete("no such name")) == []


def test_the_script_for_a_shell_can_be_printed(workspace, monkeypatch):
    # The shell is found among the parents of the process, of which a service has none.
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    done = CliRunner().invoke(app, ["--show-completion"], prog_name="bench")
    assert "_BENCH_COMPLETE" in done.output
