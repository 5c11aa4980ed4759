"""The command line: ``bench run``, ``report``, ``list``, ``ui``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import bench
from bench.errors import BenchError, nearest
from bench.sweep import EXPERIMENTS, REPORTS, RUNS, compute, prepare, show_tables

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.runner.results import Results
    from bench.runner.store import CellFolder

app = typer.Typer(
    help="Train, separate, score and compare methods of singing-voice separation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console()


def show_version(value: bool) -> None:
    """Print the version and end."""
    if value:
        print(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Train, separate, score and compare methods of singing-voice separation."""


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(help="An experiment file.")],
    data: Annotated[
        Path, typer.Option(envvar="BENCH_DATA", help="The folder that holds the corpora.")
    ] = Path("data"),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Local processes; 0: all in this one. Default: one a core."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    override: Annotated[
        list[str] | None, typer.Option("-o", help="key=value over the file's, repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be computed, and stop.")
    ] = False,
) -> None:
    """Run what is missing of an experiment, and write its report."""
    from bench.datasets import open_dataset
    from bench.runner import cluster, plan, results
    from bench.runner import experiment as experiments
    from bench.runner.store import CellFolder

    spec = experiments.read(experiment, override or ())
    dataset = open_dataset(spec.dataset, data)
    with console.status("reading the corpus"):
        cells = plan.cells(spec, dataset)
    folders = [CellFolder(RUNS, cell) for cell in cells]
    pending = {f.path: f for f in folders if not f.is_done()}
    if dry_run:
        show_plan(folders)
        print(f"{len(cells)} cells: {len(pending)} to compute, {len(cells) - len(pending)} reused")
        return
    chosen = cluster.device(device)
    prepare(REPORTS / spec.name)
    results.note(RUNS, spec, dataset, cells, override or [])
    found = results.recall(RUNS, spec.name)
    n_workers = cluster.default_workers(len(pending)) if workers is None else workers
    try:
        failed = compute(found, list(pending.values()), data, chosen, n_workers, threads, console)
    except KeyboardInterrupt:
        print(
            "bench: stopped; finished cells and checkpoints are kept, the same command goes on",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    print(
        f"{len(cells)} cells: {len(pending) - failed} computed, "
        f"{len(cells) - len(pending)} reused, {failed} failed"
    )
    raise typer.Exit(1 if failed else 0)


def show_plan(folders: list[CellFolder]) -> None:
    """Print each cell and whether it must be computed, and why."""
    from bench.runner.cell import trained_in

    for folder in folders:
        if folder.is_done():
            why = "reused: its scores are there"
        elif folder.cell.learns and trained_in(folder).is_fitted():
            why = "to compute: trained, but not scored"
        else:
            why = "to compute: " + ("it failed before" if folder.error() else "never finished")
        print(f"{folder.cell.fingerprint[:12]}  {folder.cell.name}: {why}")


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="An experiment's name, or its file.")],
    data: Annotated[
        Path, typer.Option(envvar="BENCH_DATA", help="The folder that holds the corpora.")
    ] = Path("data"),
    check: Annotated[
        bool, typer.Option("--check", help="Prove that it is what its scores give; write nothing.")
    ] = False,
) -> None:
    """Write a report again from what was tracked, or check one that is there."""
    from bench.report.compare import problems
    from bench.report.write import write
    from bench.runner import experiment as experiments
    from bench.runner import results

    if name.endswith((".yaml", ".yml")):
        name = experiments.read(Path(name)).name
    if check:
        found_wrong = problems(REPORTS / name, RUNS)
        verdict = f"{len(found_wrong)} wrong" if found_wrong else "is what its scores give"
        print("\n".join([*found_wrong, f"{REPORTS / name}: {verdict}"]))
        raise typer.Exit(1 if found_wrong else 0)
    found = results.recall(RUNS, name)
    prepare(REPORTS / name)
    show_tables(console, found, write(found, REPORTS, corpus_of(found, data)))


def corpus_of(found: Results, data: Path) -> Dataset | None:
    """Return the corpus that results were scored on, or None where it is not here any more."""
    from bench.datasets import open_dataset

    try:
        dataset = open_dataset(found.experiment.dataset, data)
        same = dataset.digest("test") in {cell.digests["test"] for cell in found.cells}
    except BenchError:
        return None
    return dataset if same else None


KINDS = ("experiments", "methods", "datasets")


@app.command()
def score(
    references: Annotated[
        str, typer.Argument(help="A folder of <track>/{vocals,accompaniment}.wav, or a dataset.")
    ],
    estimates: Annotated[Path, typer.Argument(help="A folder of the same layout.")],
    protocol: Annotated[
        list[str] | None, typer.Option(help="Scoring protocol, repeatable; bss_eval_v3 if none.")
    ] = None,
    label: Annotated[str | None, typer.Option("--as", help="The row's name.")] = None,
    into: Annotated[
        str | None, typer.Option(help="An experiment in whose tables and MLflow runs it appears.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Record it in MLflow.")] = False,
    data: Annotated[
        Path, typer.Option(envvar="BENCH_DATA", help="The folder that holds the corpora.")
    ] = Path("data"),
) -> None:
    """Score estimates that were made elsewhere, from WAV or FLAC files."""
    from bench.report.write import write
    from bench.runner import elsewhere, results
    from bench.runner.store import CellFolder
    from bench.tracking.tracker import Tracker

    row = label or estimates.resolve().name
    truth = elsewhere.references(references, data)
    cell = elsewhere.cell(row, truth, estimates, protocol or ["bss_eval_v3"])
    own = CellFolder(RUNS, cell)
    name = into or re.sub(r"[^A-Za-z0-9_.-]+", "-", row).strip("-.") or "scores"
    if into is not None:
        elsewhere.check_guest(results.recall(RUNS, into), cell)
    if not own.is_done():
        with console.status("scoring") as status:
            elsewhere.run(
                own,
                truth,
                estimates,
                lambda done, n: status.update(f"scoring track {done + 1}/{n}"),
            )
    if into is None:
        found = elsewhere.alone(own, truth, name)
    else:
        results.welcome(RUNS, into, cell)
        found = results.recall(RUNS, into)
    folder = write(found, REPORTS)
    if record or into is not None:
        tracker = Tracker(found, Path())
        tracker.finish(own)
        tracker.close(0, folder)
    show_tables(console, found, folder)


@app.command("list")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="experiments, methods or datasets.")] = None,
) -> None:
    """List experiments, methods and datasets by the names that files and commands take."""
    import yaml

    from bench import datasets, methods

    if kind is not None and kind not in KINDS:
        raise BenchError(f"no list of {kind!r}; {nearest(kind, KINDS)}")
    for title in [kind] if kind else KINDS:
        table = Table("name", "what it is", title=title, title_justify="left", box=None)
        if title == "experiments":
            for path in sorted(EXPERIMENTS.glob("*.yaml")):
                try:
                    about = str(yaml.safe_load(path.read_text()).get("title", ""))
                except (yaml.YAMLError, AttributeError, ValueError):
                    about = "not readable as an experiment"
                table.add_row(Text(str(path)), Text(about))
        elif title == "methods":
            for name in methods.table():
                cls = methods.find(name)
                first = (cls.__doc__ or "").strip().splitlines()[0]
                table.add_row(name, f"{first} Hyperparameters: {', '.join(methods.fields(cls))}")
        else:
            for name in datasets.DATASETS:
                corpus = datasets.find(name)
                sizes = ", ".join(f"{n} {split}" for split, n in corpus.FULL_SIZES.items())
                table.add_row(name, f"{corpus.TITLE}: {sizes} tracks. Licence: {corpus.LICENCE}.")
        console.print(table)
        console.print()


@app.command()
def register(
    experiment: Annotated[str, typer.Argument(help="An experiment's name.")],
    row: Annotated[str, typer.Argument(help="The label of a trained row.")],
    name: Annotated[
        str | None, typer.Option("--as", help="Name of the model; the experiment's if none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
) -> None:
    """Register a trained row's model in MLflow, for others to load by name."""
    from bench.tracking.register import register as register_model

    print(register_model(Path(), experiment, row, seed, name or experiment))


@app.command()
def ui(
    experiment: Annotated[
        str | None, typer.Argument(help="The experiment to open; the last one if none.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Open the MLflow UI on the store, on this machine only."""
    from bench.tracking.ui import serve

    serve(Path(), experiment, port, show=sys.stdout.isatty())


def main() -> None:
    """Run a command; what a user can mend is said in one line."""
    try:
        app()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
