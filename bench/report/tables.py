"""The table of an experiment in Markdown and LaTeX, from the rows of ``rows.csv``.

Numbers are rounded here and only here, once, from the unrounded mean. The best value of each
column is bold among the methods; bounds stand apart and are never ranked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

import pandas as pd

from bench.report.rows import GROUPS, UNRANKED, Row, not_recovered, table_rows
from bench.runner.results import Results
from bench.scoring.protocols import PROTOCOLS

GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "lambda",
    "mu",
    "nu",
    "rho",
    "sigma",
    "tau",
    "theta",
    "omega",
]
#: What LaTeX writes for signs that a label may hold.
SIGNS = dict(zip("αβγδελμνρστθω", (f"$\\{name}$" for name in GREEK), strict=True)) | {
    "–": "--", "—": "---", "≥": "$\\ge$", "≤": "$\\le$", "×": "$\\times$", "±": "$\\pm$",
    "−": "$-$", "∞": "$\\infty$", "…": "\\dots{}",
}  # fmt: skip
#: What stands for a number that is not there.
NOTHING = "–"


def number(value: float, spread: float = math.nan) -> str:
    """Return a value in dB with two decimals, and its spread over seeds where there is one.

    Examples
    --------
    >>> number(9.999), number(-0.001), number(float("inf")), number(float("nan"))
    ('10.00', '0.00', '∞', 'undefined')
    >>> number(7.452, spread=0.031)
    '7.45 ± 0.03'
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.2f}"
    text = "0.00" if text == "-0.00" else text.replace("-", "−")
    return text if math.isnan(spread) else f"{text} ± {spread:.2f}"


def best(lines: pd.DataFrame, labels: Iterable[str]) -> dict[str, str]:
    """Return for each metric the best number as it is printed, among the rows of `labels`."""
    ranked = lines[lines["row"].isin(list(labels))].dropna(subset="value")
    highest = ranked.groupby("metric")["value"].max().to_dict()
    return {str(metric): number(float(value)) for metric, value in highest.items()}


def captions(results: Results, protocol: str, target: str) -> str:
    """Return what a table shows: target, corpus, protocol, number of tracks."""
    corpus = results.corpus
    return (
        f"{target.capitalize()}, {corpus['title']}, {corpus['n_test']} of {corpus['n_full']} test "
        f"tracks. {PROTOCOLS[protocol].description}, in dB"
    )


def body(
    results: Results, rows: list[Row], lines: pd.DataFrame, bold: Callable[[str], str]
) -> list[tuple[Row, list[str]]]:
    """Return each row with its cells as text: ours, tracks, then the published, if any is."""
    metrics = list(lines["metric"].unique())
    target = str(lines["target"].iloc[0])
    unread = not_recovered(results)
    top = best(lines, [row.label for row in rows if row.group not in UNRANKED])
    made = []
    for row in rows:
        mine = lines[lines["row"] == row.label].set_index("metric").to_dict()
        cells = []
        for metric in metrics:
            if row.status != "done":
                cells.append(row.status)
                continue
            mean, spread = mine["value"][metric], mine["spread"][metric]
            if not mine["n_tracks"][metric]:  # imported under another protocol
                cells.append(NOTHING)
                continue
            ranked = row.group not in UNRANKED and number(mean) == top.get(metric)
            text = number(mean, spread)
            cells.append(bold(text) if ranked else text)
        n_tracks, n_undefined = (max(mine[c].values()) for c in ("n_tracks", "n_undefined"))
        tracks = str(n_tracks) + (f" ({n_undefined} undefined)" if n_undefined else "")
        cells.append(tracks if row.status == "done" else NOTHING)
        for metric in metrics if has_published(results, lines) else ():
            figure = mine["published"][metric]
            if (row.label, target, metric) in unread:
                cells.append("not recovered")
            else:
                cells.append(NOTHING if math.isnan(figure) else number(figure))
        made.append((row, cells))
    return made


def has_published(results: Results, lines: pd.DataFrame) -> bool:
    """Tell whether any row of a table has a published figure, read or not."""
    targets = {target for _, target, _ in not_recovered(results)}
    return bool(lines["published"].notna().any()) or lines["target"].iloc[0] in targets


def markdown(results: Results, lines: pd.DataFrame, beside: str = "") -> str:
    """Return the report in Markdown: why, a table for each protocol and target, notes.

    Parameters
    ----------
    results
        The experiment and its cells.
    lines
        Its rows, see `long_rows`.
    beside
        What goes between tables and notes, in Markdown: a figure and what it shows.
    """
    experiment = results.experiment
    rows = table_rows(results)
    out = [f"# {experiment.title}", "", experiment.why.strip(), ""]
    for protocol in experiment.protocols:
        for target in experiment.table.targets:
            part = lines[(lines["protocol"] == protocol) & (lines["target"] == target)]
            metrics = [metric.upper().replace("_", "-") for metric in part["metric"].unique()]
            columns = ["method", *[f"{metric} ↑" for metric in metrics], "tracks"]
            if has_published(results, part):
                columns += [f"published {metric}" for metric in metrics]
            title = target.capitalize()
            if len(experiment.protocols) > 1:
                title = f"{title}, {protocol}"
            out += [f"## {title}", "", captions(results, protocol, target) + ".", ""]
            out += [
                "| " + " | ".join(columns) + " |",
                "|---|" + "---:|" * (len(columns) - 1),
            ]
            shown = body(results, rows, part, lambda text: f"**{text}**")
            for i, (row, cells) in enumerate(shown):
                if i == 0 or shown[i - 1][0].group != row.group:
                    out.append(f"| *{GROUPS[row.group]}* |" + " |" * (len(columns) - 1))
                out.append("| " + " | ".join([escape_markdown(row.label), *cells]) + " |")
            out.append("")
    out += [beside, ""] if beside else []
    out += notes(results, rows)
    return "\n".join(out).rstrip() + "\n"


def notes(results: Results, rows: list[Row]) -> list[str]:
    """Return the lines under the tables."""
    lines = [
        "The best value of a column is bold. Bounds (the mixture, and masks made from the true "
        "sources) and imported scores are not ranked."
    ]
    if results.overrides:
        lines.append(f"Not as in its file: run with -o {' -o '.join(results.overrides)}")
    seeds = len(results.experiment.seeds)
    if seeds > 1:
        lines.append(
            f"Rows of methods that draw at random are means over {seeds} seeds, ± the standard "
            "deviation over seeds."
        )
    if results.experiment.published_source:
        lines.append(f"Published figures: {results.experiment.published_source}")
    lines += [f"{row.label}: {row.note}" for row in rows if row.note]
    failed = {
        cell.row: folder.error()
        for cell, folder in zip(results.cells, results.folders, strict=True)
        if folder.error()
    }
    lines += [f"{label} failed: {why}" for label, why in failed.items()]
    lines.append(f"Data: {results.corpus['citation']} Licence: {results.corpus['licence']}.")
    return ["## Notes", "", *[f"- {escape_markdown(line)}" for line in lines], ""]


def latex(results: Results, lines: pd.DataFrame) -> str:
    """Return a table environment for each protocol and target; needs booktabs."""
    out = ["% Made by bench report; needs \\usepackage{booktabs}."]
    for protocol in results.experiment.protocols:
        for target in results.experiment.table.targets:
            part = lines[(lines["protocol"] == protocol) & (lines["target"] == target)]
            caption = escape_latex(captions(results, protocol, target))
            tabular = latex_tabular(results, part)
            out += ["\\begin{table}", "\\centering", f"\\caption{{{caption}.}}", *tabular]
            out += ["\\end{table}", ""]
    return "\n".join(out).rstrip() + "\n"


def latex_tabular(results: Results, part: pd.DataFrame) -> list[str]:
    """Return the lines of a tabular: a rule between groups, the published figures beside ours."""
    upper = [metric.upper().replace("_", "-") for metric in part["metric"].unique()]
    n, beside = len(upper), has_published(results, part)
    width = 2 + n * (2 if beside else 1)
    out = [f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}", "\\toprule"]
    if beside:
        ours, theirs = (f"\\multicolumn{{{n}}}{{c}}{{{word}}}" for word in ("ours", "published"))
        out += [
            f" & {ours} & & {theirs} \\\\",
            f"\\cmidrule(lr){{2-{n + 1}}} \\cmidrule(lr){{{n + 3}-{width}}}",
        ]
    out.append(" & ".join(["Method", *upper, "Tracks", *(upper if beside else ())]) + " \\\\")
    group = ""
    for row, cells in body(results, table_rows(results), part, lambda t: f"\\textbf{{{t}}}"):
        if row.group != group:
            group = row.group
            title = f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{GROUPS[group]}}}}} \\\\"
            out += ["\\midrule", title]
        written = [cell if "\\" in cell else escape_latex(cell) for cell in cells]
        for sign in "−∞±":  # in bold cells, which are LaTeX already
            written = [cell.replace(sign, SIGNS[sign]) for cell in written]
        out.append(" & ".join([escape_latex(row.label), *written]) + " \\\\")
    return [*out, "\\bottomrule", "\\end{tabular}"]


def escape_markdown(text: str) -> str:
    """Return text in which no character opens a column, a link or HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", " ".join(text.split()))


def escape_latex(text: str) -> str:
    """Return text in which no character is a command; Greek letters and dashes become maths."""
    named = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    text = "".join(named.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
    return "".join(SIGNS.get(c, c) for c in text)
