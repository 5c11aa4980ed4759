"""The command line: ``bench run``, ``status``, ``report``, ``score``, ``list``, ``ui``."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli import data as data_commands
from bench.cli.import_scores import import_scores
from bench.cli.separate import separate
from bench.cli.sweep import EXPERIMENTS, REPORTS, RUNS, compute, job_of, prepare, show_tables
from bench.errors import BenchError, nearest
from bench.version import __version__

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.store.cell_folder import CellFolder
    from bench.store.manifest import Manifest
    from bench.store.status import CellStatus

app = typer.Typer(
    help="Train, separate, score and compare methods of singing-voice separation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data_commands.app, name="data")
app.command()(separate)
app.command("import")(import_scores)
console = Console()


def show_version(value: bool) -> None:
    """Print the version and end."""
    if value:
        print(f"bench {__version__}")
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
        typer.Option(
            min=0,
            help="Local processes, or jobs of SLURM; 0: all in this one. Default: one a core.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    scheduler: Annotated[
        str,
        typer.Option(help="Address of a Dask scheduler, such as tcp://127.0.0.1:8786; or slurm."),
    ] = "",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try cells again that failed before.")
    ] = False,
    trainer: Annotated[
        list[str] | None,
        typer.Option(help="key=value for Lightning's Trainer, as devices=4; repeatable."),
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option("-o", help="key=value over the file's, repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be computed, and stop.")
    ] = False,
) -> None:
    """Run what is missing of an experiment, and write its report.

    Cells that failed before are left alone, unless --retry-failed is given.
    """
    from bench.datasets import open_dataset
    from bench.plan import experiment_file
    from bench.plan.cells import cells as plan_cells
    from bench.runner import executor, hosts
    from bench.store.cell_folder import CellFolder
    from bench.store.manifest import load_manifest, save_manifest
    from bench.store.results import read_outcome
    from bench.store.status import DAMAGED, cell_status

    spec = experiment_file.read(experiment, override or ())
    dataset = open_dataset(spec.dataset, data)
    with console.status("reading the corpus"):
        cells = plan_cells(spec, dataset)
    folders = [CellFolder(RUNS, cell) for cell in cells]
    outcomes = [read_outcome(folder, spec.name) for folder in folders]
    stands = [(f, cell_status(f, outcome)) for f, outcome in zip(folders, outcomes, strict=True)]
    left = {"done", *([] if retry_failed else ["failed"])}
    pending = [folder for folder, stand in stands if stand.state not in left]
    n_failed = 0 if retry_failed else sum(stand.state == "failed" for _, stand in stands)
    n_done = len(cells) - len(pending) - n_failed
    if dry_run:
        show_plan(stands, retry_failed)
        rest = f", {n_failed} failed before" if n_failed else ""
        print(f"{len(cells)} cells: {len(pending)} to compute, {n_done} reused{rest}")
        return
    place = executor.place(workers, threads, scheduler, device, len(pending), trainer or [])
    if place.node > 0:
        with stopped(f"bench: host {place.node} stopped"):
            joined = hosts.join(job_of(spec, data, place), pending)
        print(f"host {place.node}: joined {joined} trainings; the first host has what they gave")
        return
    prepare(REPORTS / spec.name)
    prepare(RUNS)
    save_manifest(RUNS, spec, dataset, cells, override or [])
    for folder, stand in stands:
        if stand.why == DAMAGED:
            print(f"{folder.cell.name}: {DAMAGED}")
    kept = "bench: stopped; finished cells and checkpoints are kept, the same command goes on"
    with stopped(kept):
        manifest = load_manifest(RUNS, spec.name)
        tally = compute(manifest, outcomes, pending, data, place, console)
    if n_failed:
        print(f"{n_failed} failed before and were not tried again: --retry-failed tries them")
    print(
        f"{len(cells)} cells: {tally.computed} computed, {n_done + tally.found} reused, "
        f"{n_failed + tally.failed} failed"
    )
    raise typer.Exit(1 if n_failed + tally.failed else 0)


def show_plan(stands: list[tuple[CellFolder, CellStatus]], retry_failed: bool) -> None:
    """Print each cell and whether it would be computed, and why."""
    for folder, stand in stands:
        word = {"done": "reused: ", "running": "computed elsewhere: "}.get(stand.state)
        if stand.state == "failed":
            word = "to compute: failed before: " if retry_failed else "left alone: failed before: "
        text = f"{folder.cell.name}: {word or 'to compute: '}{stand.why}"
        print(f"{folder.cell.fingerprint[:12]}  {text}")


@contextlib.contextmanager
def stopped(said: str) -> Iterator[None]:
    """Say something on Ctrl-C, and on a polite end (SIGTERM), as clusters send it."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        print(said, file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def tracked(name: str) -> Manifest:
    """Return the cells of an experiment, by its name or its file."""
    from bench.plan import experiment_file
    from bench.store.manifest import load_manifest

    if name.endswith((".yaml", ".yml")):
        name = experiment_file.read(Path(name)).name
    return load_manifest(RUNS, name)


NAME = Annotated[str, typer.Argument(help="An experiment's name, or its file.")]


@app.command()
def status(
    name: NAME,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where failed cells failed.")
    ] = False,
) -> None:
    """Say where an experiment stands, while it runs or after."""
    from bench.store.status import cell_status

    manifest = tracked(name)
    outcomes = manifest.results().outcomes
    stands = [
        (folder, cell_status(folder, outcome))
        for folder, outcome in zip(manifest.folders, outcomes, strict=True)
    ]
    for folder, stand in stands:
        if stand.state in ("running", "failed"):
            print(f"{folder.cell.name}: {stand.state}: {stand.why}")
        if stand.state == "failed" and traceback:
            print(folder.state().get("traceback", ""))
    states = Counter(stand.state for _, stand in stands)
    counts = ", ".join(f"{states[s]} {s}" for s in ("done", "running", "failed", "planned"))
    print(f"{len(stands)} cells: {counts}")


@app.command()
def track(name: NAME) -> None:
    """Record in MLflow, from the cells' folders, what the store does not have."""
    from bench.report.tabulate import tabulate
    from bench.report.write import write_report
    from bench.tracking.tracker import Tracker

    manifest = tracked(name)
    prepare(REPORTS / manifest.experiment.name)
    tracker = Tracker(manifest, Path())
    tracker.connect()
    tracker.forget_missing()
    before = manifest.results().outcomes
    folders = zip(manifest.folders, before, strict=True)
    ended = [folder for folder, outcome in folders if outcome.status != "missing"]
    for folder in ended:
        if not tracker.finish(folder):
            break
    results = manifest.results(known=before)
    failed = sum(outcome.status == "failed" for outcome in results.outcomes)
    tracker.close(failed, write_report(tabulate(results), REPORTS))
    if tracker.trouble:
        raise BenchError(tracker.trouble)
    print(f"{len(before)} cells: {len(ended)} in MLflow, {failed} of them as failed")


@app.command()
def report(
    name: NAME,
    data: Annotated[
        Path, typer.Option(envvar="BENCH_DATA", help="The folder that holds the corpora.")
    ] = Path("data"),
    check: Annotated[
        bool, typer.Option("--check", help="Prove that it is what its scores give; write nothing.")
    ] = False,
) -> None:
    """Write a report again from what was tracked, or check one that is there."""
    from bench.plan import experiment_file
    from bench.report.tabulate import tabulate
    from bench.report.verify import problems
    from bench.report.write import write_report

    if check:
        if name.endswith((".yaml", ".yml")):
            name = experiment_file.read(Path(name)).name
        found_wrong = problems(REPORTS / name, RUNS)
        verdict = f"{len(found_wrong)} wrong" if found_wrong else "is what its scores give"
        print("\n".join([*found_wrong, f"{REPORTS / name}: {verdict}"]))
        raise typer.Exit(1 if found_wrong else 0)
    manifest = tracked(name)
    prepare(REPORTS / manifest.experiment.name)
    tables = tabulate(manifest.results())
    folder = write_report(tables, REPORTS, corpus_of(manifest, data), RUNS)
    show_tables(console, tables, folder)


def corpus_of(found: Manifest, data: Path) -> Dataset | None:
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
    museval_json: Annotated[
        Path | None, typer.Option(help="Write museval's JSON there too, a file a track.")
    ] = None,
    data: Annotated[
        Path, typer.Option(envvar="BENCH_DATA", help="The folder that holds the corpora.")
    ] = Path("data"),
) -> None:
    """Score estimates that were made elsewhere, from WAV or FLAC files."""
    from bench.cli.sweep import show_external
    from bench.store.external import find_references, score_estimates

    protocols = protocol or (["museval"] if museval_json else ["bss_eval_v3"])
    if museval_json and "museval" not in protocols:
        protocols = [*protocols, "museval"]
    with console.status("scoring") as status:
        row = score_estimates(
            RUNS,
            find_references(references, data),
            estimates,
            protocols,
            label or estimates.resolve().name,
            into,
            lambda n_done, n: status.update(f"scoring track {n_done + 1}/{n}"),
        )
    if museval_json:
        from bench.scoring import museval_json as files

        scores = row.folder.scores("museval")
        if scores is not None:
            print(
                f"museval's JSON: {len(files.write(scores, museval_json))} tracks in {museval_json}"
            )
    show_external(console, row, record or into is not None)


@app.command("list")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="experiments, methods or datasets.")] = None,
) -> None:
    """List experiments, methods and datasets by the names that files and commands take."""
    import yaml

    from bench import datasets
    from bench.methods import registry

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
            for name in registry.table():
                cls = registry.find(name)
                first = (cls.__doc__ or "").strip().splitlines()[0]
                table.add_row(name, f"{first} Hyperparameters: {', '.join(registry.fields(cls))}")
        else:
            for name in datasets.DATASETS:
                corpus = datasets.find(name)
                sizes = ", ".join(f"{n} {split}" for split, n in corpus.FULL_SIZES.items())
                about = f"{corpus.TITLE}: {sizes} tracks" if sizes else corpus.TITLE
                table.add_row(name, f"{about}. Licence: {corpus.LICENCE}.")
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
