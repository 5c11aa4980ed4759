"""The page that lists all reports; it opens from disk and asks nothing of any network."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from markupsafe import Markup

from bench.report.formats.page import asset, template
from bench.report.index import ReportSummary


def index_page(summaries: Sequence[ReportSummary], damaged: Sequence[str] = ()) -> str:
    """Return the page, which names the damaged reports below the others."""
    style = asset("page.css") + asset("index.css")
    return template("index.html.j2").render(
        summaries=[(quote(f"{one.name}/index.html"), one) for one in summaries],
        damaged=damaged,
        style=Markup(style),  # noqa: S704 - our own file
    )
