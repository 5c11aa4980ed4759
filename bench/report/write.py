"""The folder of a report.

It holds ``table.md``, ``table.tex``, ``rows.csv``, ``scores.parquet``, ``provenance.json``, and
``figure.svg`` where the experiment asks for a figure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import provenance
from bench.report import curves, figure, latex, markdown
from bench.report.curves import Shown
from bench.report.findings import findings
from bench.report.rows import long_rows
from bench.runner.results import SCHEMA_VERSION, Results
from bench.runner.store import write_bytes, write_text


def write(results: Results, reports: Path) -> Path:
    """Write the report of an experiment.

    Parameters
    ----------
    results
        What its cells have left.
    reports
        The folder of all reports.

    Returns
    -------
    Path
        The report's folder.
    """
    folder = reports / results.experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    lines = long_rows(results)
    beside = ""
    if results.experiment.figure:
        shown = curves.shown(results, results.experiment.figure)
        if shown.points:
            write_bytes(folder / "figure.svg", figure.svg(shown))
            beside = with_findings(shown)
    write_text(folder / "table.md", markdown.markdown(results, lines, beside))
    write_text(folder / "table.tex", latex.latex(results, lines))
    write_text(folder / "rows.csv", lines.to_csv(index=False, lineterminator="\n"))
    write_bytes(folder / "scores.parquet", scores_parquet(results))
    text = json.dumps(sources(results), indent=1, ensure_ascii=False)
    write_text(folder / "provenance.json", text + "\n")
    return folder


def with_findings(shown: Shown) -> str:
    """Return the figure and what it shows, in Markdown."""
    target = shown.target.capitalize()
    lines = [
        "## Figure",
        "",
        f"![{target}: each metric with its interval over seeds](figure.svg)",
        "",
        "Means, with 95 % intervals over seeds (Student's t). What it shows:",
        "",
        *[f"- {markdown.escape_markdown(line)}" for line in findings(shown)],
    ]
    return "\n".join(lines)


def scores_parquet(results: Results) -> bytes:
    """Return the tidy scores as Parquet, the version of their columns in its metadata."""
    scores = pa.Table.from_pandas(results.scores(), preserve_index=False)
    metadata = {**(scores.schema.metadata or {}), b"schema_version": str(SCHEMA_VERSION).encode()}
    sink = pa.BufferOutputStream()
    pq.write_table(scores.replace_schema_metadata(metadata), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def sources(results: Results) -> dict[str, Any]:
    """Return where each number of the report comes from."""
    cells = []
    for cell, folder in zip(results.cells, results.folders, strict=True):
        facts = {name: folder.score_facts(name) for name in cell.protocols}
        cells.append({"fingerprint": cell.fingerprint, **cell.to_json(), "scores": facts})
    return {
        "report": {"time": provenance.now(), "commit": provenance.commit()},
        "experiment": results.experiment.model_dump(),
        "overrides": list(results.overrides),
        "corpus": results.corpus,
        "schema_version": SCHEMA_VERSION,
        "cells": cells,
    }
