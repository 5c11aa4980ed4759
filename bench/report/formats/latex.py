"""The tables of a report in LaTeX: a table environment each, for a plain article with booktabs."""

from __future__ import annotations

import re
from dataclasses import replace

from pylatexenc.latexencode import (
    RULE_DICT,
    UnicodeToLatexConversionRule,
    UnicodeToLatexEncoder,
)

from bench.report.numbers import NOTHING, metric_name
from bench.report.table import Entry, Grid, Part
from bench.report.tabulate import ReportTables

#: Signs that LaTeX sets better than by pylatexenc's own rules: in the font of the text, or shorter.
_SIGNS = {
    "–": "--", "—": "---", "·": "·", "²": "$^2$", "|": "\\textbar{}", "<": "\\textless{}",
    ">": "\\textgreater{}",
}  # fmt: skip
_ENCODER = UnicodeToLatexEncoder(
    conversion_rules=[
        UnicodeToLatexConversionRule(RULE_DICT, {ord(sign): text for sign, text in _SIGNS.items()}),
        "defaults",
    ],
    replacement_latex_protection="braces-after-macro",
    unknown_char_warning=False,
)
#: Labels of more letters than this are broken into lines.
_LONG = 26
_CAPTION = (
    "Bold: best; underlined: second; bounds and imported scores are not ranked. "
    "{deviation}Brackets: 95 % bootstrap interval over {unit}. "
    "≈: not significantly different from the best (Wilcoxon, Holm, 0.05)."
)


def latex(tables: ReportTables) -> str:
    """Return a table environment for each protocol and target, and for each grid."""
    out = ["% Made by bench report; needs \\usepackage{booktabs}."]
    for part in tables.parts:
        deviation = "±: standard deviation over trainings. " if part.has_deviations else ""
        legend = _CAPTION.format(unit=part.unit, deviation=deviation)
        caption = escape_latex(f"{part.caption}. {legend}")
        for grid in part.grids:
            name = escape_latex(f"{metric_name(grid.metric)}. {part.caption}.")
            out += _framed(name, _grid_tabular(grid), 5)
        out += _framed(caption, _tabular(part))
    return "\n".join(out).rstrip() + "\n"


def _framed(caption: str, lines: list[str], space_pt: int = 2) -> list[str]:
    """Return a table environment, half of the space between its columns in points."""
    space = f"\\setlength{{\\tabcolsep}}{{{space_pt}pt}}"
    head = ["\\begin{table}", "\\centering", "\\footnotesize", space]
    return [*head, f"\\caption{{{caption}}}", *lines, "\\end{table}", ""]


def _tabular(part: Part) -> list[str]:
    """Return the lines of a tabular: a rule between groups, our figures before published ones."""
    names = [metric_name(metric) for metric in part.metrics]
    n, has_published = len(names), part.has_published
    width = 2 + n * (2 if has_published else 1)
    out = [f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}", "\\toprule"]
    if has_published:
        ours, theirs = (f"\\multicolumn{{{n}}}{{c}}{{{word}}}" for word in ("ours", "published"))
        rules = f"\\cmidrule(lr){{2-{n + 1}}} \\cmidrule(lr){{{n + 3}-{width}}}"
        out += [f" & {ours} & & {theirs} \\\\", rules]
    out.append(
        " & ".join(["Method", *names, "Tracks", *(names if has_published else ())]) + " \\\\"
    )
    for line in part.lines:
        if line.starts_group:
            title = f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{line.starts_group}}}}} \\\\"
            out += ["\\midrule", title]
        entries = [line.entries[metric] for metric in part.metrics]
        cells = [_stacked(_entry(entry), escape_latex(entry.interval)) for entry in entries]
        cells = [_label(line.row.label), *cells, escape_latex(line.tracks)]
        cells += [_published(entry) for entry in entries] if has_published else []
        out.append(" & ".join(cells) + " \\\\[1pt]")
    return [*out, "\\bottomrule", "\\end{tabular}"]


def _grid_tabular(grid: Grid) -> list[str]:
    """Return the lines of an ablation's grid."""
    n = len(grid.columns)
    name = f"\\multicolumn{{{n}}}{{c}}{{{escape_latex(grid.column_name)}}}"
    head = [escape_latex(text) for text in (grid.row_name.capitalize(), *grid.columns)]
    out = [f"\\begin{{tabular}}{{l{'r' * n}}}", "\\toprule", f" & {name} \\\\"]
    out += [f"\\cmidrule(lr){{2-{n + 1}}}", " & ".join(head) + " \\\\", "\\midrule"]
    for row in grid.rows:
        entries = [grid.places.get((row, column)) for column in grid.columns]
        cells = [_grid_entry(entry) if entry else escape_latex(NOTHING) for entry in entries]
        out.append(" & ".join([_label(row), *cells]) + " \\\\[1pt]")
    return [*out, "\\bottomrule", "\\end{tabular}"]


def _stacked(*lines: str) -> str:
    """Return lines above each other in one cell, the first on the row's own line."""
    first, *rest = [line for line in lines if line]
    if not rest:
        return first
    small = "".join(f"\\\\[-1pt] {{\\tiny {line}}}" for line in rest)
    return f"\\begin{{tabular}}[t]{{@{{}}r@{{}}}}{first}{small}\\end{{tabular}}"


def _grid_entry(entry: Entry) -> str:
    """Return a number of a grid, its spread over seeds under it."""
    spread = f"$\\pm$ {entry.spread:.2f}" if entry.spread >= 0 else ""
    return _stacked(_entry(replace(entry, text=entry.mean)), spread)


def _label(text: str) -> str:
    """Return a row's label, in several lines where it is long."""
    text, n = escape_latex(text), len(text)
    return text if n <= _LONG else f"\\parbox[t]{{0.26\\linewidth}}{{\\raggedright {text}}}"


def _published(entry: Entry) -> str:
    """Return a published figure; words, which are wider than a number, small and stacked."""
    first, *words = escape_latex(entry.published).split()
    return _stacked(f"{{\\tiny {first}}}" if words else first, *words)


def _entry(entry: Entry) -> str:
    """Return a number with its rank and its mark."""
    frames = {"best": "\\textbf{%s}", "second": "\\underline{%s}"}
    text = frames.get(entry.rank, "%s") % escape_latex(entry.text)
    return text + ("\\rlap{$^{\\approx}$}" if entry.close else "")


def escape_latex(text: str) -> str:
    r"""Return text in which no character is a command; Greek letters and signs become maths.

    Examples
    --------
    >>> escape_latex("50 % of γ ≠ {x}")
    '50 \\% of $\\gamma$ $\\neq$ \\{x\\}'
    """
    return re.sub(r"\\ensuremath\{(.*?)\}", r"$\1$", _ENCODER.unicode_to_latex(text))
