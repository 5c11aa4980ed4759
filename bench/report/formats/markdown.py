"""The report in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.report.agreement import Agreement, agreements
from bench.report.cost import CAPTION, Cost, cost_table, costs
from bench.report.curves import FigureData
from bench.report.numbers import NOTHING, correlation, heading, rating, rating_interval
from bench.report.prose.findings import findings
from bench.report.prose.notes import notes, provenance_warning
from bench.report.ratings import ListeningResult
from bench.report.rows import Row, rows_with_origin
from bench.report.table import CLOSE, Entry, Grid, Part
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import metric_name


def markdown(
    tables: ReportTables,
    figure: FigureData | None = None,
    listening: ListeningResult | None = None,
) -> str:
    """Return the report in Markdown: why, a table by protocol and target, figure, cost, notes.

    Parameters
    ----------
    tables
        The tables of the experiment.
    figure
        The numbers of its figure, None where it has none.
    listening
        The result of its listening test, None where it has none.
    """
    experiment = tables.results.experiment
    title, why = (text.strip().replace("<", "&lt;") for text in (experiment.title, experiment.why))
    out = [f"# {title}", "", why, ""]  # backticks stay, no tag of HTML does
    warning = provenance_warning(tables.results)
    out += [f"**{escape_markdown(warning)}**", ""] if warning else []
    for part in tables.parts:
        out += [f"## {part.title}", ""]
        out += [f"{escape_markdown(part.caption)}.", ""]
        for grid in part.grids:
            out += [*_grid_table(grid), ""]
        out += [*_table(part), ""] if part.listed else []
        out += [*_spreads(part), ""] if part.has_spreads else []
    out += [] if figure is None else _figure_section(figure)
    out += _agreements(agreements(tables))
    out += [] if listening is None else _listening_section(listening)
    out += _origins(rows_with_origin(tables.rows))
    out += _cost(costs(tables))
    out += ["## Notes", "", *[f"- {escape_markdown(note)}" for note in notes(tables)]]
    return "\n".join(out).rstrip() + "\n"


def _figure_section(figure: FigureData) -> list[str]:
    """Return the lines of a section with the figure and its findings."""
    target = figure.target.capitalize()
    return [
        "## Figure",
        "",
        f"![{target}: each metric with its interval over seeds](figure.svg)",
        "",
        "Means, with 95 % intervals over seeds (Student's t). What it shows:",
        "",
        *[f"- {escape_markdown(line)}" for line in findings(figure)],
        "",
    ]


def _table(part: Part) -> list[str]:
    """Return the lines of a table, a heading row before each group."""
    columns = ["method", *map(heading, part.metrics), "tracks"]
    columns += [f"published {metric_name(metric)}" for metric in part.published_metrics]
    out = _heading(columns)
    for line in part.listed:
        if line.starts_group:
            out.append(f"| *{line.starts_group}* |" + " |" * (len(columns) - 1))
        cells = [escape_markdown(line.row.label)]
        cells += [_entry(line.entries[metric]) for metric in part.metrics]
        cells.append(line.tracks)
        cells += [line.entries[metric].published for metric in part.published_metrics]
        out.append("| " + " | ".join(cells) + " |")
    return out


def _spreads(part: Part) -> list[str]:
    """Return the lines of a table of the first metric: its spread over songs and trainings."""
    metric = part.metrics[0]
    columns = [metric_name(metric), f"95 % over {part.unit}"]
    columns += ["95 % over singers"] if part.has_singers else []
    out = _heading(["method", *columns, "standard deviation over trainings", "trainings"])
    for line in part.lines:
        entry, row = line.entries[metric], line.row
        texts = [entry.mean, entry.interval]
        texts += [entry.interval_singers] if part.has_singers else []
        texts += [entry.deviation, str(row.n_seeds) if row.is_stochastic else ""]
        cells = [text or NOTHING for text in texts]
        out.append("| " + " | ".join([escape_markdown(row.label), *cells]) + " |")
    return out


def _listening_section(result: ListeningResult) -> list[str]:
    """Return the lines of a section on what listeners said."""
    out = ["## Listening test", "", escape_markdown(result.sentence), ""]
    if not result.n_listeners:
        return out
    out += _heading(["signal", "mean rating", "95 % over listeners", "95 % over tracks"])
    for one in result.stimuli:
        intervals = [rating_interval(one.mean, w) for w in (one.over_listeners, one.over_tracks)]
        cells = [escape_markdown(one.label), rating(one.mean), *intervals]
        out.append("| " + " | ".join(cells) + " |")
    out.append("")
    if result.agreement:
        out += [result.agreement_sentence, ""]
        out += _heading(["measure", "Kendall's τ with the ratings"])
        out += [f"| {name} | {correlation(tau)} |" for name, tau in result.agreement.items()]
        out.append("")
    return out


def _agreements(of_targets: Sequence[Agreement]) -> list[str]:
    """Return the lines of a section on how far the measures agree; none without any."""
    if not of_targets:
        return []
    out = [
        "## Which measure?",
        "",
        "Kendall's rank correlation of every two measures over the ranked rows: 1 where they put "
        "all rows in the same order, −1 in the opposite one.",
        "",
    ]
    for agreement in of_targets:
        first = f"{agreement.target}, {agreement.n_rows} rows"
        out += [*_heading([first, *agreement.names[1:]])]
        for one in agreement.names[:-1]:
            values = [agreement.tau.get((one, other)) for other in agreement.names[1:]]
            cells = ["" if value is None else correlation(value) for value in values]
            out.append("| " + " | ".join([one, *cells]) + " |")
        out += ["", agreement.sentence, ""]
    return out


def _origins(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a section that says where each row comes from; none without rows."""
    if not rows:
        return []
    out = [
        "## Where each row comes from",
        "",
        "| method | scores | open constants |",
        "|---|---|---|",
    ]
    for row in rows:
        cells = map(escape_markdown, (row.label, row.origin, row.constants))
        out.append("| " + " | ".join(cell or NOTHING for cell in cells) + " |")
    legend = f"{NOTHING}: none is open, or the experiment does not say how it was chosen."
    return [*out, "", legend, ""]


def _cost(rows: Sequence[Cost]) -> list[str]:
    """Return the lines of a section on the cost of each row; none where none was measured."""
    table = cost_table(rows)
    if not table:
        return []
    columns, *lines = table
    out = ["## Cost", "", *_heading(columns)]
    out += ["| " + " | ".join([escape_markdown(label), *texts]) + " |" for label, *texts in lines]
    return [*out, "", CAPTION, ""]


def _grid_table(grid: Grid) -> list[str]:
    """Return the lines of an ablation's grid."""
    name = escape_markdown(grid.column_name)
    columns = [escape_markdown(column) for column in grid.columns]
    corner = f"{heading(grid.metric)}: {escape_markdown(grid.row_name)}"
    out = _heading([corner, *[f"{name} = {column}" for column in columns]])
    for row in grid.rows:
        entries = [grid.places.get((row, column)) for column in grid.columns]
        cells = [_entry(entry) if entry else NOTHING for entry in entries]
        out.append("| " + " | ".join([escape_markdown(row), *cells]) + " |")
    return out


def _heading(columns: Sequence[str]) -> list[str]:
    """Return the heading of a table: the first column left, the others right."""
    return ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]


def _entry(entry: Entry) -> str:
    """Return a number with its rank, its mark and its interval."""
    frames = {"best": "**{}**", "second": "<u>{}</u>"}
    text = frames.get(entry.rank, "{}").format(entry.text)
    mark = f" {CLOSE}" if entry.close else ""
    return text + mark + (f" <sub>{entry.interval}</sub>" if entry.interval else "")


def escape_markdown(text: str) -> str:
    """Return text in which no character opens a column, a link or HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", " ".join(text.split()))
