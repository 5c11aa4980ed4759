"""The page of a report: ``index.html``, one file that needs nothing but its own folder.

It opens from disk, asks nothing of any network (its own content security policy forbids it), and is
the same bytes for the same scores.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from bench.report.cost import costs
from bench.report.curves import FigureData
from bench.report.numbers import NOTHING, metric_name, number, p_value
from bench.report.plots import charts
from bench.report.prose.answer import answer
from bench.report.prose.findings import findings
from bench.report.prose.notes import notes
from bench.report.rows import GROUPS, Row
from bench.report.statistics import Ranks, ranks
from bench.report.table import CLOSE, Part
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import OVER_TRACKS
from bench.store.results import Results

#: More rows than these make a critical-difference diagram that nobody can read.
_MOST_RANKED = 20


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows in words."""

    svg: Markup
    caption: str


def page(
    tables: ReportTables,
    facts: Mapping[str, Any],
    data: FigureData | None = None,
    drawing: bytes = b"",
) -> str:
    """Return the page.

    Parameters
    ----------
    tables
        The tables of the experiment.
    facts
        The content of ``provenance.json``.
    data, drawing
        The numbers of the experiment's figure, and its SVG; None and empty where there is none.
    """
    results = tables.results
    script, style = _asset("page.js"), _asset("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        experiment=results.experiment,
        corpus=results.corpus,
        shares_audio=bool(results.corpus.get("shares_audio", False)),
        answer=answer(results, tables.parts[0]),
        parts=tables.parts,
        spread=[_part_charts(tables, part, n) for n, part in enumerate(tables.parts)],
        figure=_inline_figure(data, drawing) if data else None,
        findings=findings(data) if data else [],
        costs=costs(tables),
        examples=facts.get("examples", []),
        runs=_runs(results, facts),
        provenance=_provenance(facts),
        notes=notes(tables),
        n_cells=len(results.outcomes),
        n_done=sum(outcome.status == "done" for outcome in results.outcomes),
        script=Markup(script),  # noqa: S704 - our own file
        style=Markup(style),  # noqa: S704 - our own file
        script_digest=digest,
    )


@cache
def _template() -> jinja2.Template:
    """Return the page's template, with autoescape on."""
    loader = jinja2.FunctionLoader(_asset)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"CLOSE": CLOSE, "NOTHING": NOTHING, "GROUPS": GROUPS}
    environment.filters |= {"metric": metric_name, "db": number, "p": p_value, "exact": _exact}
    environment.filters["prose"] = _prose
    return environment.get_template("page.html.j2")


def _asset(name: str) -> str:
    """Return the text of a file of the page."""
    return (resources.files("bench.report.formats") / "assets" / name).read_text(encoding="utf-8")


def _prose(text: str) -> Markup:
    """Return a sentence, what stands between backticks as code, all else escaped."""
    pieces = [escape(piece) for piece in text.split("`")]
    if len(pieces) % 2 == 0:
        return escape(text)
    framed = (Markup("<code>{}</code>").format(x) if i % 2 else x for i, x in enumerate(pieces))
    return Markup("").join(framed)


def _exact(value: float) -> str:
    """Return a value for sorting: six decimals, ``inf``, or nothing where there is none."""
    return "" if math.isnan(value) else f"{value:.6f}" if math.isfinite(value) else str(value)


@dataclass(frozen=True)
class PartCharts:
    """The charts of one table: scores by track, and ranks where there are some to compare."""

    title: str
    distributions: Sequence[Chart]
    diagrams: Sequence[Chart]


def _part_charts(tables: ReportTables, part: Part, n: int) -> PartCharts:
    """Return the charts of a table, the n-th of its page."""
    tracks = tables.tracks[part.protocol, part.target]
    rows = {row.label: row for row in tables.rows if row.status == "done"}
    own = {over: metric for metric, over in OVER_TRACKS[part.protocol][1].items()}
    distributions, diagrams = [], []
    for m, metric in enumerate(part.metrics):
        values = {k: tracks[k, metric].over_seeds for k in rows if (k, metric) in tracks}
        if values:
            distributions.append(_distribution(values, rows, own[metric], f"d{n}{m}"))
        compared = {k: v for k, v in values.items() if rows[k].ranked and not np.isnan(v).all()}
        ranked = ranks(compared) if 2 < len(compared) <= _MOST_RANKED else None
        if ranked:
            diagrams.append(_diagram(ranked, own[metric], f"c{n}{m}"))
    return PartCharts(_title(tables.results, part), distributions, diagrams)


def _title(results: Results, part: Part) -> str:
    """Return a table's title: its target, and the protocol where there are several."""
    several = len(results.experiment.protocols) > 1
    return part.target.capitalize() + (f", {part.protocol}" if several else "")


def _distribution(
    values: Mapping[str, NDArray[np.float64]], rows: Mapping[str, Row], metric: str, prefix: str
) -> Chart:
    """Return the chart of a metric's scores by track."""
    name = f"{metric_name(metric)} (dB)"
    groups = {label: rows[label].group for label in values}
    svg = charts.distributions(values, groups, name)
    n_left_out = {label: int((~np.isfinite(scores)).sum()) for label, scores in values.items()}
    left_out = ", ".join(f"{label} {n}" for label, n in n_left_out.items() if n)
    medians = ", ".join(
        f"{label} {number(float(np.nanmedian(scores)))}"
        for label, scores in values.items()
        if not np.isnan(scores).all()
    )
    caption = f"{metric_name(metric)} by track."
    if left_out:
        caption += f" Not drawn, undefined or infinite: {left_out}."
    label = f"{metric_name(metric)} by track. Medians in dB: {medians}"
    return Chart(Markup(charts.inline(svg, prefix, label)), caption)  # noqa: S704 - escaped there


def _diagram(ranked: Ranks, metric: str, prefix: str) -> Chart:
    """Return the critical-difference diagram of a metric."""
    joined = "; ".join(", ".join(clique) for clique in ranked.cliques) or "none"
    caption = (
        f"{metric_name(metric)}: mean ranks over {ranked.n_tracks} tracks, 1 the best. A bar joins "
        f"methods that are not told apart (Wilcoxon, Holm over all pairs). Friedman's test: "
        f"p {p_value(ranked.friedman)}."
    )
    ranks_text = ", ".join(f"{label} {rank:.2f}" for label, rank in ranked.mean.items())
    label = f"Mean ranks in {metric_name(metric)}: {ranks_text}. Not told apart: {joined}."
    svg = charts.inline(charts.critical_difference(ranked), prefix, label)
    return Chart(Markup(svg), caption)  # noqa: S704 - escaped there


def _inline_figure(data: FigureData, drawing: bytes) -> Chart:
    """Return the experiment's figure as part of the page."""
    names = ", ".join(metric_name(metric) for metric in data.metrics)
    what = f"against {data.symbol}" if data.symbol else "of each row"
    label = f"{names} of the {data.target} {what}; the sentences beside it say what it shows."
    caption = "Means, with 95 % intervals over seeds (Student's t)."
    svg = charts.inline(drawing, "f", label)
    return Chart(Markup(svg), caption)  # noqa: S704 - escaped there


def _runs(results: Results, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each cell its seed, MLflow runs, commit and hyperparameters."""
    set_by_file = {
        label: values for entry in results.experiment.methods for label, values in entry.variants()
    }
    runs = []
    for cell in facts["cells"]:
        first: dict[str, Any] = next(iter(cell["scores"].values()), {})
        commit = str(first.get("provenance", {}).get("commit", "")) or NOTHING
        values = cell["hyperparameters"]
        chosen = {k: values[k] for k in set_by_file.get(cell["row"], {}) if k in values}
        runs.append(
            {
                "row": cell["row"],
                "method": cell["method"],
                "seed": NOTHING if cell["seed"] is None else cell["seed"],
                "status": cell["status"],
                "runs": cell.get("mlflow_runs", []),
                "commit": commit[:10] + ("-dirty" if commit.endswith("-dirty") else ""),
                "chosen": chosen,
                "others": {k: v for k, v in values.items() if k not in chosen},
                "fingerprint": cell["fingerprint"][:12],
            }
        )
    return runs


def _provenance(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return digests of the data, versions, machines and commits of all cells."""
    digests: dict[str, str] = {}
    versions: dict[str, set[str]] = {}
    machines: set[str] = set()
    commits: set[str] = set()
    for cell in facts["cells"]:
        digests |= cell["digests"]
        for scored in cell["scores"].values():
            for captured in (scored.get("provenance"), scored.get("fit", {}).get("provenance")):
                if not captured:
                    continue
                commits.add(captured["commit"])
                machines.add(_machine(captured))
                for name, version in captured["versions"].items():
                    versions.setdefault(name, set()).add(version)
    return {
        "digests": digests,
        "versions": {name: ", ".join(sorted(values)) for name, values in versions.items()},
        "machines": sorted(machines),
        "commits": sorted(commits),
    }


def _machine(captured: Mapping[str, Any]) -> str:
    """Return a machine in a line."""
    on = captured["machine"]
    words = [on["processor"], f"{on['cores']} cores", f"{on['memory_gib']} GiB", on["system"]]
    return ", ".join([*words, *([on["accelerator"]] if captured["device"] == "cuda" else [])])
