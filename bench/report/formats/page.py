"""The page of a report: ``index.html``, one file that needs nothing but its own folder.

It opens from disk, asks nothing of any network (its own content security policy forbids it), and is
the same bytes for the same scores.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bench.report.agreement import agreements
from bench.report.cost import CAPTION, COLUMNS_OF_WORDS, cost_table, costs
from bench.report.curves import FigureData
from bench.report.formats.page_charts import (
    inline_figure,
    overview_chart,
    part_charts,
    track_pairs,
    trade_off_chart,
)
from bench.report.formats.page_runs import cell_runs, joint_provenance, shared_hyperparameters
from bench.report.numbers import (
    NOTHING,
    correlation,
    heading,
    in_unit,
    p_values_text,
    rating,
    rating_interval,
    rounded,
    unit_of,
)
from bench.report.prose.answer import answer_text
from bench.report.prose.findings import findings
from bench.report.prose.notes import notes, provenance_warning
from bench.report.ratings import listening_result
from bench.report.rows import GROUP_TITLES, rows_with_origin
from bench.report.table import CLOSE
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import merit, metric_name


def html_page(
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
    script, style = asset("page.js"), asset("page.css")
    runs = cell_runs(results, facts)
    all_costs = costs(tables)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template("page.html.j2").render(
        experiment=results.experiment,
        corpus=results.corpus,
        shares_audio=results.shares_audio,
        answer=answer_text(results, tables.parts[0]),
        parts=tables.parts,
        spread=[part_charts(tables, part, n) for n, part in enumerate(tables.parts)],
        figure=inline_figure(data, drawing) if data else None,
        overview=None if data else overview_chart(tables),
        pairs=[_json(track_pairs(tables, part)) for part in tables.parts],
        findings=findings(data) if data else [],
        origins=rows_with_origin(tables.rows),
        agreements=agreements(tables),
        listening=listening_result(tables, facts),
        costs=cost_table(all_costs),
        cost_caption=CAPTION,
        columns_of_words=COLUMNS_OF_WORDS,
        trade_offs=trade_off_chart(tables, all_costs),
        examples=facts.get("examples", []),
        rows_without_clips=facts.get("rows_without_clips", 0),
        shared=shared_hyperparameters(runs),
        runs=runs,
        provenance=joint_provenance(facts),
        notes=notes(tables),
        warning=provenance_warning(results),
        n_cells=len(results.outcomes),
        n_done=sum(outcome.status == "done" for outcome in results.outcomes),
        script=Markup(script),  # noqa: S704 - our own file
        style=Markup(style),  # noqa: S704 - our own file
        script_digest=digest,
    )


@cache
def template(name: str) -> jinja2.Template:
    """Return a template of `assets`, with autoescape on."""
    loader = jinja2.FunctionLoader(asset)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "CLOSE": CLOSE,
        "NOTHING": NOTHING,
        "p_values_text": p_values_text,
        "GROUP_TITLES": GROUP_TITLES,
    }
    environment.filters |= {
        "metric": metric_name,
        "heading": heading,
        "in_unit": in_unit,
        "unit_of": unit_of,
        "rounded": rounded,
        "rating": rating,
        "rating_interval": rating_interval,
        "tau": correlation,
        "exact": _exact,
        "is_distance": lambda metric: merit(metric) < 0,
        "prose": _prose,
    }
    return environment.get_template(name)


def asset(name: str) -> str:
    """Return the text of a file of `assets`."""
    return (resources.files("bench.report.formats") / "assets" / name).read_text(encoding="utf-8")


def _json(value: dict[str, Any] | None) -> Markup | None:
    """Return a value as JSON that can stand between the tags of a script; None for None."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c")) if value else None  # noqa: S704 - escaped


def _prose(text: str) -> Markup:
    """Return a sentence as HTML: text between backticks as code, all other text escaped."""
    pieces = [escape(piece) for piece in text.split("`")]
    if len(pieces) % 2 == 0:
        return escape(text)
    framed = (Markup("<code>{}</code>").format(x) if i % 2 else x for i, x in enumerate(pieces))
    return Markup("").join(framed)


def _exact(value: float) -> str:
    """Return a value for sorting: six decimals, ``inf``, or empty for NaN."""
    return "" if math.isnan(value) else f"{value:.6f}" if math.isfinite(value) else str(value)
