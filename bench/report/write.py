"""The folder of a report.

It holds ``index.html``, ``table.md``, ``table.tex`` and ``table_intervals.tex`` (the same with
intervals), ``rows.csv``, ``scores.parquet``,
``provenance.json``, ``figure.svg`` where the experiment asks for a figure, and where tracks are
shown ``pictures/`` and, if the corpus may be passed on, ``audio/``. All but the last two are made
from ``scores.parquet`` and ``provenance.json`` alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import provenance
from bench.plan.cells import Cell
from bench.report.committed import earlier_provenance
from bench.report.curves import figure_data
from bench.report.examples import read_examples
from bench.report.formats.index_page import index_page
from bench.report.formats.latex import latex
from bench.report.formats.markdown import markdown
from bench.report.formats.page import html_page
from bench.report.index import summaries
from bench.report.plots.figure import figure_svg
from bench.report.ratings import listening_result
from bench.report.tabulate import ReportTables
from bench.store.files import make_folder, refuse_link, write_bytes
from bench.store.ratings import read_ratings
from bench.store.results import SCHEMA_VERSION, Results
from bench.store.workspace import Workspace

#: Files of every report that are made from its scores.
FILES = ("index.html", "table.md", "table.tex", "table_intervals.tex", "rows.csv")
#: Folders of a report that hold its examples.
EXAMPLE_FOLDERS = ("pictures", "audio")


def write_report(tables: ReportTables, workspace: Workspace) -> Path:
    """Write the report of an experiment.

    Parameters
    ----------
    tables
        The tables of the experiment.
    workspace
        The working directory, with the folder of reports and that of the cells, whose clips are
        shown. Where no cell has clips, those of the report that is there stay, if they are of the
        same cells.

    Returns
    -------
    Path
        The report's folder.
    """
    results = tables.results
    folder = workspace.reports / results.experiment.name
    refuse_link(folder)
    make_folder(folder)
    facts = _provenance(results)
    examples = read_examples(tables, workspace.runs) if results.experiment.examples else None
    if examples is None:
        facts |= _kept_examples(folder, facts)
    else:
        _remove_examples(folder)
        for path, content in examples.files.items():
            make_folder((folder / path).parent)
            write_bytes(folder / path, content)
        facts |= examples.facts
    cells = [outcome.cell.fingerprint for outcome in results.outcomes]
    rated = read_ratings(workspace.runs, results.experiment.name, cells)
    rated = rated or _kept_ratings(folder, facts)
    facts |= {"listening": rated} if rated else {}
    files = report_files(tables, facts)
    for name, content in files.items():
        write_bytes(folder / name, content)
    if "figure.svg" not in files:
        (folder / "figure.svg").unlink(missing_ok=True)
    write_bytes(folder / "scores.parquet", scores_parquet(results))
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    write_bytes(folder / "provenance.json", f"{text}\n".encode())
    write_index(workspace.reports)
    return folder


def write_index(reports: Path) -> Path:
    """Write the page that lists the reports in a folder, and return its path."""
    path = reports / "index.html"
    write_bytes(path, index_page(*summaries(reports)).encode())
    return path


def is_current(results: Results, workspace: Workspace) -> bool:
    """Tell whether the report that is there was written by this code from these outcomes.

    No file of it may be missing or have changed since ``provenance.json``, the last, was written.
    """
    folder = workspace.reports / results.experiment.name
    last = folder / "provenance.json"
    before = earlier_provenance(folder)
    facts = json.loads(json.dumps(_provenance(results)))
    facts["report"]["time"] = before.get("report", {}).get("time")
    if not facts.items() <= before.items():
        return False
    names = [*FILES, "scores.parquet"]
    if results.experiment.figure:
        names.append("figure.svg")
    files = [folder / name for name in [*names, *before.get("example_files", {})]]
    written = last.stat().st_mtime
    return all(path.is_file() and path.stat().st_mtime <= written for path in files)


def report_files(tables: ReportTables, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that show scores, by name: the same bytes for the same scores.

    `facts` are the content of ``provenance.json``.
    """
    figure = tables.results.experiment.figure
    data = figure_data(tables, figure) if figure else None
    data = data if data and data.points else None
    drawing = figure_svg(data) if data else b""
    files = {
        "index.html": html_page(tables, facts, data, drawing).encode(),
        "table.md": markdown(tables, data, listening_result(tables, facts)).encode(),
        "table.tex": latex(tables).encode(),
        "table_intervals.tex": latex(tables, with_intervals=True).encode(),
        "rows.csv": tables.aggregates.to_csv(index=False, lineterminator="\n").encode(),
    }
    return {**files, "figure.svg": drawing} if drawing else files


def scores_parquet(results: Results) -> bytes:
    """Return the tidy scores as Parquet.

    Its metadata hold the version of the columns (``schema_version``) and the status of each cell
    (``cells``): one that failed or is missing has no scores.
    """
    texts = results.scores.select_dtypes("category").columns
    frame = results.scores.astype(dict.fromkeys(texts, "str"))
    scores = pa.Table.from_pandas(frame, preserve_index=False)
    cells = [
        {"row": outcome.cell.row, "seed": outcome.cell.seed, "status": outcome.status}
        for outcome in results.outcomes
    ]
    metadata = {
        **(scores.schema.metadata or {}),
        b"schema_version": str(SCHEMA_VERSION).encode(),
        b"cells": json.dumps(cells, ensure_ascii=False).encode(),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(scores.replace_schema_metadata(metadata), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _provenance(results: Results) -> dict[str, Any]:
    """Return the content of ``provenance.json``: how each number of the report was made."""
    cells = []
    for outcome in results.outcomes:
        cell = outcome.cell
        cells.append(
            {
                "fingerprint": cell.fingerprint,
                **cell.to_json(),
                "status": outcome.status,
                "error": outcome.error,
                "mlflow_runs": list(outcome.mlflow_runs),
                "scores": {name: outcome.facts.get(name, {}) for name in cell.protocols},
            }
        )
    return {
        "report": {
            "time": provenance.now(),
            **provenance.code(),
            "versions": provenance.versions(),
        },
        "experiment": results.experiment.model_dump(),
        **({} if results.file is None else {"file": results.file}),
        "overrides": list(results.overrides),
        "corpus": results.corpus,
        "schema_version": SCHEMA_VERSION,
        "cells": cells,
    }


def _kept_examples(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of an earlier report on its examples, where its cells were the same.

    Elsewhere its pictures and audio are removed.
    """
    before = earlier_provenance(folder)
    if not facts["experiment"]["examples"] or _identity(before) != _identity(facts):
        _remove_examples(folder)
        return {"examples": [], "example_files": {}}
    none: dict[str, Any] = {"examples": [], "example_files": {}, "rows_without_clips": 0}
    return {name: before.get(name, empty) for name, empty in none.items()}


def _kept_ratings(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the ratings in an earlier report, where its cells were the same."""
    before = earlier_provenance(folder)
    return before.get("listening") if _identity(before) == _identity(facts) else None


def _remove_examples(folder: Path) -> None:
    """Remove the pictures and the audio of a report."""
    for name in EXAMPLE_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


def _identity(facts: Mapping[str, Any]) -> list[Any]:
    """Return what the examples of a report depend on: its cells and their statuses."""
    fields = [*Cell.__dataclass_fields__, "status"]
    cells = [{name: cell.get(name) for name in fields} for cell in facts.get("cells", [])]
    shared = facts.get("corpus", {}).get("shares_audio", False)
    return [shared, json.dumps(cells, sort_keys=True)]
