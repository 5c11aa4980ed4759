"""The descriptions of runs in the UI, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.scoring.aggregate import in_decibels, metric_name, metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.note.content"
#: Largest number of characters of a tag that every store accepts.
_LONGEST = 7500


def describe_cell(cell: Cell, protocols: Mapping[str, Sequence[Mapping[Any, Any]]]) -> str:
    """Return the description of the run of a finished cell.

    Parameters
    ----------
    cell
        The cell.
    protocols
        Rows of `over_tracks` by protocol.
    """
    lines = [f"**{cell.row}** (`{cell.method}`) on {cell.dataset}"]
    lines[0] += "" if cell.seed is None else f", seed {cell.seed}"
    for protocol, rows in protocols.items():
        unit = ", dB" if in_decibels(metrics(protocol)) else ""
        lines += ["", f"`{protocol}`{unit}", "", "| target | metric | value | tracks | undefined |"]
        lines.append("|---|---|---:|---:|---:|")
        for row in rows:
            number = _two_decimals(row["value"])
            counts = f"{row['n_tracks']} | {row['n_undefined']}"
            lines.append(
                f"| {row['target']} | {metric_name(row['metric'])} | {number} | {counts} |"
            )
        lines += ["", f"By track: `tracks/{protocol}.json`; by window: `scores/{protocol}.json`."]
    return clipped("\n".join(lines))


def _two_decimals(value: float) -> str:
    """Return a value as text, rounded to two decimals."""
    if math.isnan(value):
        return "undefined"
    return f"{value:.2f}" if math.isfinite(value) else "∞" if value > 0 else "−∞"


def describe_experiment(
    client: MlflowClient, run_id: str, experiment: Experiment, report: Path
) -> None:
    """Set the report's table as the description of the run of an experiment."""
    path = report / "table.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# {experiment.title}\n"
    text = text.replace("](figure.svg)", "](report/figure.svg)")
    more = "\n\nThe whole report: artifact `report/index.html`."
    client.set_tag(run_id, NOTE, clipped(text, _LONGEST - len(more)) + more)


def metric_key(experiment: Experiment, protocol: str, target: str, metric: str) -> str:
    """Return the name in MLflow of a metric, which names the protocol where there are several."""
    prefix = f"{protocol}/" if len(experiment.protocols) > 1 else ""
    return f"{prefix}{target}/{metric}"


def table_metrics(experiment: Experiment) -> list[str]:
    """Return the metrics of the report's first table by their names in MLflow."""
    protocol, target = experiment.protocols[0], experiment.table.targets[0]
    return [metric_key(experiment, protocol, target, m) for m in experiment.metrics(protocol)]


def clipped(text: str, longest: int = _LONGEST) -> str:
    r"""Return a text, cut at the end of a line where it is longer than a tag may be.

    Examples
    --------
    >>> clipped("one\ntwo\nthree", 9)
    'one\n…'
    """
    if len(text) <= longest:
        return text
    end = text.rfind("\n", 0, longest - 2)
    return text[: end if end > 0 else longest - 2] + "\n…"
