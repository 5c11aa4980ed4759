"""What a run says of itself in the UI: a description in Markdown, and its scores track by track."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from bench.runner.results import Results
from bench.runner.store import CellFolder
from bench.scoring.aggregate import over_tracks, track_values

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.note.content"
#: Characters of a tag that every store takes.
LONGEST = 7500


def describe_cell(client: MlflowClient, run_id: str, folder: CellFolder) -> None:
    """Give a finished cell's run its description and a table a protocol with a line a track.

    The table has the same columns and tracks on every run of an experiment, so that the UI can set
    runs side by side.
    """
    cell = folder.cell
    lines = [f"**{cell.row}** (`{cell.method}`) on {cell.dataset}"]
    lines[0] += "" if cell.seed is None else f", seed {cell.seed}"
    for protocol in cell.protocols:
        scores = folder.scores(protocol)
        if scores is None:
            continue
        rows = over_tracks(scores)
        lines += ["", f"`{protocol}`, dB", "", "| target | metric | value | tracks | undefined |"]
        lines.append("|---|---|---:|---:|---:|")
        for row in rows.to_dict("records"):
            number = shown(row["value"])
            counts = f"{row['n_tracks']} | {row['n_undefined']}"
            lines.append(f"| {row['target']} | {row['metric'].upper()} | {number} | {counts} |")
        tracks = track_values(scores)
        tracks["column"] = tracks["target"] + "/" + tracks["metric"]
        wide = tracks.pivot_table(
            index="track", columns="column", values="value", sort=False, dropna=False
        )
        wide = wide.replace([math.inf, -math.inf], math.nan).reset_index()
        wide.columns.name = None
        client.log_table(run_id, wide, f"tracks/{protocol}.json")
        lines += ["", f"By track: `tracks/{protocol}.json`; by window: `scores/{protocol}.json`."]
    client.set_tag(run_id, NOTE, clipped("\n".join(lines)))


def shown(value: float) -> str:
    """Return a value in dB for the eye."""
    if math.isnan(value):
        return "undefined"
    return f"{value:.2f}" if math.isfinite(value) else "∞" if value > 0 else "−∞"


def describe_experiment(client: MlflowClient, run_id: str, results: Results, report: Path) -> None:
    """Give the parent run the report's table as its description."""
    experiment = results.experiment
    path = report / "table.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# {experiment.title}\n"
    text = text.replace("](figure.svg)", "](report/figure.svg)")
    more = "\n\nThe whole report: artifact `report/index.html`."
    client.set_tag(run_id, NOTE, clipped(text, LONGEST - len(more)) + more)


def clipped(text: str, longest: int = LONGEST) -> str:
    r"""Return text cut at a line's end where a tag could not hold it.

    Examples
    --------
    >>> clipped("one\ntwo\nthree", 9)
    'one\n…'
    """
    if len(text) <= longest:
        return text
    return text[: text.rfind("\n", 0, longest - 2)] + "\n…"
