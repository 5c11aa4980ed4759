"""``bench reproduce``: rows of a report computed anew, and whether they are the report's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bench.cli.options import DataOption, report_folder
from bench.errors import BenchError, nearest

if TYPE_CHECKING:
    from bench.plan.cells import Cell
    from bench.report.reproduction import Reproduction
    from bench.store.results import Outcome, Results
    from bench.store.workspace import Workspace


def reproduce(
    report: Annotated[
        Path, typer.Argument(help="The folder of a report, or its name under reports/.")
    ],
    rows: Annotated[
        list[str] | None, typer.Option(help="Label of a row, repeatable. Default: all rows.")
    ] = None,
    data: DataOption = Path("data"),
    workers: Annotated[
        int | None, typer.Option(min=0, help="Local processes. Default: one a core.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="The folder of the new cells. Default: reproduced/NAME."),
    ] = None,
) -> None:
    """Compute rows of a report anew and say of each whether it is the report's row.

    The corpus is compared with the report's first. Status 1: a row is not reproduced.
    """
    from bench import provenance
    from bench.cli.compute import compute_cells, interruptible, job_of
    from bench.datasets import open_dataset
    from bench.report.committed import load_committed
    from bench.report.reproduction import compare
    from bench.runner.workers import parse_workers
    from bench.store.cell_folder import CellFolder
    from bench.store.results import read_outcome
    from bench.store.workspace import Workspace

    console = Console()
    folder = report_folder(report)
    results = load_committed(folder)
    outcomes = _chosen(results, rows or [])
    recorded = [outcome.cell for outcome in outcomes]
    dataset = open_dataset(results.experiment.dataset, data)
    with console.status("comparing the corpus with the report's"):
        _check_corpus(recorded, dataset)
    cells = [_cell_for_here(cell) for cell in recorded]
    workspace = Workspace(into or Path("reproduced") / results.experiment.name)
    _check_fresh(workspace, provenance.commit())
    folders = [CellFolder(workspace.runs, cell) for cell in cells]
    pending = [f for f in folders if not f.is_done()]
    _warn_of_changes(recorded, cells, console)
    if pending:
        where = parse_workers(workers, 1, "", "cpu", len(pending))
        goes_on = (
            "what is finished is kept, the same command goes on"
            if provenance.is_exact(provenance.commit())
            else f"remove {workspace.root} before the next try: the code is of no exact commit"
        )
        with interruptible(f"bench: stopped; {goes_on}"):
            compute_cells(job_of(workspace.runs, data, where), pending, where, console)
    name = results.experiment.name
    computed = [
        dataclasses.replace(read_outcome(f, name), cell=cell)
        for f, cell in zip(folders, recorded, strict=True)
    ]
    reproductions = list(compare(results, computed))
    print("For each row: its means here, and in brackets the report's ± what the rule allows.")
    for one in reproductions:
        print("\n".join(_lines(one)))
    n_reproduced = sum(one.is_reproduced for one in reproductions)
    print(f"{folder}: {n_reproduced} of {len(reproductions)} rows reproduced")
    raise typer.Exit(0 if n_reproduced == len(reproductions) else 1)


def _chosen(results: Results, labels: Sequence[str]) -> list[Outcome]:
    """Return the finished outcomes of the rows with these labels that were computed by the suite.

    Raises
    ------
    BenchError
        A label is unknown, or its row cannot be computed anew.
    """
    from bench.methods.registry import GROUPS

    done = [outcome for outcome in results.outcomes if outcome.status == "done"]
    here = [outcome for outcome in done if outcome.cell.group in GROUPS]
    known = list(dict.fromkeys(outcome.cell.row for outcome in here))
    for label in labels:
        if label not in known:
            raise BenchError(f"no computed row {label!r} in the report; {nearest(label, known)}")
    chosen = [o for o in here if not labels or o.cell.row in labels]
    if not chosen:
        raise BenchError("the report has no row that was computed by the suite")
    return chosen


def _check_corpus(cells: Sequence[Cell], dataset: Any) -> None:
    """Compare the splits of the corpus with those from which the report was made.

    Raises
    ------
    BenchError
        A split has other contents.
    """
    recorded = {split: digest for cell in cells for split, digest in cell.digests.items()}
    for split, digest in sorted(recorded.items()):
        here = dataset.digest(split)
        if here != digest:
            raise BenchError(
                f"the {split} split of {cells[0].dataset} is not the report's: its digest is "
                f"{here[:12]} here and {digest[:12]} there; nothing was computed"
            )


def _cell_for_here(cell: Cell) -> Cell:
    """Return a recorded cell as this version and this processor compute it.

    Raises
    ------
    BenchError
        The method is of another version now, or has other hyperparameters.
    """
    from bench.methods import registry
    from bench.scoring.protocols import protocol
    from bench.training.precision import used_precision

    cls = registry.find_method(cell.method)
    if cell.version != cls.VERSION:
        raise BenchError(
            f"{cell.row}: method {cell.method} was of version {cell.version} and is of version "
            f"{cls.VERSION} here, which gives other numbers; check out the report's commit, or "
            "name other --rows"
        )
    values = dict(cell.hyperparameters)
    if values.get("precision") == "bfloat16" and used_precision("auto", "cpu") != "bfloat16":
        values["precision"] = "float32"
    protocols = {name: protocol(name).version for name in cell.protocols}
    # All hyperparameters, those too that joined the method since and are at their default.
    method = registry.make(cls, values, cell.row)
    full = {k: v for k, v in method.hyperparameters().items() if k != "seed"}
    return dataclasses.replace(cell, hyperparameters=full, protocols=protocols)


def _warn_of_changes(recorded: Sequence[Cell], cells: Sequence[Cell], console: Console) -> None:
    """Print in what the computation differs from the recorded one."""
    changes = []
    for then, now in zip(recorded, cells, strict=True):
        if then.hyperparameters.get("precision") != now.hyperparameters.get("precision"):
            changes.append(
                f"{then.row}: trained in bfloat16 then, and in float32 on this processor"
            )
        changes += [
            f"protocol {name}: version {version} then, {now.protocols[name]} here"
            for name, version in then.protocols.items()
            if version != now.protocols[name]
        ]
    for change in dict.fromkeys(changes):
        console.print(change, markup=False)


def _check_fresh(workspace: Workspace, commit: str) -> None:
    """Refuse a folder that holds cells of other code.

    Raises
    ------
    BenchError
        A finished cell in it is of another commit.
    """
    from bench import provenance
    from bench.store.files import read_json

    markers = [*workspace.runs.glob("*/scores/*.json"), *workspace.runs.glob("*/fit.json")]
    for path in sorted(markers):
        facts = read_json(path) or {}
        then = (facts.get("provenance") or {}).get("commit")
        if then != commit or not provenance.is_exact(commit):
            changed = ", with uncommitted changes" if provenance.has_changes(commit) else ""
            raise BenchError(
                f"{workspace.root} holds cells of commit {str(then)[:12]}, and this is "
                f"{commit[:12]}{changed}; "
                "remove the folder, or name another by --into"
            )


def _lines(one: Reproduction) -> Iterator[str]:
    """Yield what is printed of a row: the verdict, then its means in the report and here."""
    from bench.scoring.aggregate import metric_name, metrics

    known = not math.isnan(one.largest)
    by = (
        f"by {one.largest:.1g}{one.unit} at most" if math.isfinite(one.largest) else "without bound"
    )
    largest = f"; scores of a track differ {by}" if known else ""
    yield f"{one.row}: {one.verdict}{largest}"
    for (target, protocol), means in one.means.groupby(["target", "protocol"], sort=False):
        by_metric = means.set_index("metric")
        figures = (
            f"{metric_name(str(name))} {mean['now']:.2f} "
            f"({mean['then']:.2f} ± {mean['allowed']:.2f})"
            for name, mean in by_metric.reindex(metrics(str(protocol))).dropna(how="all").iterrows()
        )
        yield f"    {target}, {protocol}: {', '.join(figures)}"
