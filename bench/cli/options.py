"""Arguments and options that several commands share, and what completes them in a shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError, check_known, nearest
from bench.store.workspace import Workspace

if TYPE_CHECKING:
    from bench.store.manifest import Manifest

#: The working directory in which a command is run.
HERE = Workspace()
#: Endings of experiment files.
YAML = (".yaml", ".yml")


def complete_experiment(incomplete: str) -> Iterator[str]:
    """Yield the names of the experiments that were run here and that begin with `incomplete`."""
    names = (path.stem for path in sorted((HERE.runs / "experiments").glob("*.json")))
    return (name for name in names if name.startswith(incomplete))


def complete_file(incomplete: str) -> Iterator[str]:
    """Yield the experiment files that begin with `incomplete`."""
    paths = (str(path) for path in sorted(HERE.experiments.glob("*.yaml")))
    return (path for path in paths if path.startswith(incomplete))


def complete_method(incomplete: str) -> Iterator[str]:
    """Yield the names of the built-in methods that begin with `incomplete`."""
    from bench.methods import registry

    return (name for name in sorted(registry.table()) if name.startswith(incomplete))


def complete_dataset(incomplete: str) -> Iterator[str]:
    """Yield the names of the datasets that begin with `incomplete`."""
    from bench.datasets import DATASETS

    return (name for name in sorted(DATASETS) if name.startswith(incomplete))


NameArgument = Annotated[
    str,
    typer.Argument(help="An experiment's name, or its file.", autocompletion=complete_experiment),
]
DataOption = Annotated[
    Path, typer.Option(envvar="BENCH_DATA", help="The folder that holds the corpora.")
]
IntoOption = Annotated[
    str | None,
    typer.Option(
        help="Name of the experiment to whose tables and MLflow runs the row is added.",
        autocompletion=complete_experiment,
    ),
]
RecordOption = Annotated[bool, typer.Option("--record", help="Record the scores in MLflow.")]


def experiment_name(name: str) -> str:
    """Return the name of an experiment that is given by its name or its file."""
    if Path(name).suffix not in YAML:
        return name
    from bench.plan import experiment_file

    return experiment_file.read_experiment(Path(name)).name


def experiment_path(path: Path) -> Path:
    """Return the file of an experiment that is given by its file, or its name in ``experiments/``.

    Raises
    ------
    BenchError
        There are experiments, and none has that name.
    """
    if path.is_file() or path.suffix in YAML or len(path.parts) > 1:
        return path
    known = {file.stem: file for file in sorted(HERE.experiments.glob("*.yaml"))}
    if known and path.name not in known:
        raise BenchError(
            f"no experiment {path.name!r} in experiments/; {nearest(path.name, known)}"
        )
    return known.get(path.name, path)


def manifest_of(name: str) -> Manifest:
    """Return the cells of an experiment that was run here, by its name or its file.

    Raises
    ------
    BenchError
        There is no such experiment, or it was never run here.
    """
    from bench.store.manifest import load_manifest

    known = {*complete_experiment(""), *(Path(path).stem for path in complete_file(""))}
    if known and Path(name).suffix not in YAML:
        check_known("experiment", name, known)
    return load_manifest(HERE.runs, experiment_name(name))


def report_folder(report: Path) -> Path:
    """Return the folder of a report that is given by its folder, or its name in ``reports/``.

    Raises
    ------
    BenchError
        There are reports, and none has that name.
    """
    if report.is_dir():
        return report
    parent = report.parent if len(report.parts) > 1 else HERE.reports
    known = [path.parent.name for path in sorted(parent.glob("*/provenance.json"))]
    if known and report.name not in known:
        raise BenchError(f"no report {report.name!r} in {parent}; {nearest(report.name, known)}")
    return parent / report.name
