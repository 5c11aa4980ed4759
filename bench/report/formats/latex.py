"""The tables of a report in LaTeX, for an article of two columns with booktabs and siunitx.

Each table is one ``tabular`` whose numbers stand under one another by their decimal points, with a
label and a short caption. It takes one column of the article, or both where one is too narrow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from pylatexenc.latexencode import (
    RULE_DICT,
    UnicodeToLatexConversionRule,
    UnicodeToLatexEncoder,
)

from bench.report.numbers import NOTHING, in_unit
from bench.report.table import SET_APART, Entry, Grid, Part
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import metric_name

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
#: What the text of a published value ends in, where it is a number.
_ENDS = (*"0123456789", SET_APART)
#: Width in points of a column of a two-column article, of a letter and a capital of
#: `footnotesize`, and of the space around a column of a table.
_COLUMN, _LETTER, _CAPITAL, _SPACE = 229.0, 4.3, 6.0, 6.0
#: Labels of more letters than this are broken into lines where a table takes one column.
_LONG = 20
_HEAD = "% Made by bench report; needs \\usepackage{booktabs,siunitx}, siunitx 3."
_SETTINGS = "\\sisetup{detect-weight, detect-shape, mode=text, uncertainty-mode=separate}"


def latex(tables: ReportTables, with_intervals: bool = False) -> str:
    """Return a table environment for each table of a report and for each grid.

    Parameters
    ----------
    tables
        The tables of the experiment.
    with_intervals
        Whether a second line under each row holds the 95 % intervals.
    """
    out = [_HEAD, _SETTINGS, ""]
    for part in tables.parts:
        words = f"{tables.results.experiment.name} {part.title}".lower()
        label = f"tab:{re.sub(r'[^a-z0-9]+', '-', words)}"
        for grid in part.grids:
            what = f"{metric_name(grid.metric)} of the {part.target}"
            columns = [
                [grid.places[row, column] for row in grid.rows if (row, column) in grid.places]
                for column in grid.columns
            ]
            is_wide = _is_wide(grid.rows, grid.columns, columns, 0, with_intervals)
            lines = _grid_tabular(grid, columns, is_wide, with_intervals)
            caption = _caption(part, what, columns, with_intervals)
            out += _framed(caption, f"{label}-{grid.metric}", lines, is_wide)
        if part.listed:
            columns = [[line.entries[metric] for line in part.listed] for metric in part.metrics]
            labels = [line.row.label for line in part.listed]
            n_published = len(part.published_metrics)
            is_wide = _is_wide(labels, part.metrics, columns, n_published, with_intervals)
            lines = _tabular(part, columns, is_wide, with_intervals)
            caption = _caption(part, part.title, columns, with_intervals)
            out += _framed(caption, label, lines, is_wide)
    return "\n".join(out).rstrip() + "\n"


def _caption(
    part: Part, what: str, columns: Sequence[Sequence[Entry]], with_intervals: bool
) -> str:
    """Return a caption: what a table shows, and what its marks mean as far as they are there."""
    entries = [entry for column in columns for entry in column]
    words = ["bold: best", "italic: second"] if any(entry.rank for entry in entries) else []
    words += ["≈: not told apart from the best"] if any(entry.close for entry in entries) else []
    words += ["±: deviation over trainings"] if any(entry.deviation for entry in entries) else []
    words += [f"brackets: 95 % interval over {part.unit}"] if with_intervals else []
    text = "; ".join(words)
    legend = f" {text[:1].upper()}{text[1:]}." if text else ""
    return escape_latex(f"{what} on {part.tracks}{in_unit(part.metrics)}.{legend}")


def _is_wide(
    labels: Sequence[str],
    headings: Sequence[str],
    columns: Sequence[Sequence[Entry]],
    n_published: int,
    with_intervals: bool,
) -> bool:
    """Tell whether a table needs both columns of an article, its long labels broken."""
    widths = [_LETTER * min(max(map(len, labels)), _LONG), *[5 * _CAPITAL] * n_published]
    for heading, entries in zip(headings, columns, strict=True):
        n_letters = max(len(e.mean) + 7 * bool(e.deviation) + e.close for e in entries)
        if with_intervals:  # they are set in letters of 5 points
            n_letters = max(n_letters, *(len(e.interval) * 5 // 8 for e in entries))
        widths.append(max(_LETTER * n_letters, _CAPITAL * len(heading)))
    return sum(width + _SPACE for width in widths) > _COLUMN


def _framed(caption: str, label: str, lines: list[str], is_wide: bool) -> list[str]:
    """Return a table environment."""
    environment = "table*" if is_wide else "table"
    space = f"\\setlength{{\\tabcolsep}}{{{5 if is_wide else 3}pt}}"
    return [
        f"\\begin{{{environment}}}",
        *("\\centering", "\\footnotesize", space),
        f"\\caption{{{caption}}}",
        f"\\label{{{label}}}",
        *lines,
        f"\\end{{{environment}}}",
        "",
    ]


def _tabular(
    part: Part, entries_of: Sequence[Sequence[Entry]], is_wide: bool, with_intervals: bool
) -> list[str]:
    """Return the lines of a tabular: a rule between groups, our values before published ones."""
    n, n_published = len(part.metrics), len(part.published_metrics)
    columns = [_column(entries) for entries in entries_of]
    columns += [_published_column(part, metric) for metric in part.published_metrics]
    out = [f"\\begin{{tabular}}{{@{{}}l{''.join(columns)}@{{}}}}", "\\toprule"]
    if n_published:
        ours, theirs = (
            f"\\multicolumn{{{count}}}{{c}}{{{word}}}"
            for count, word in ((n, "ours"), (n_published, "published"))
        )
        rules = f"\\cmidrule(lr){{2-{n + 1}}} \\cmidrule(l){{{n + 2}-{n + 1 + n_published}}}"
        out += [f" & {ours} & {theirs} \\\\", rules]
    names = [f"{{{metric_name(m)}}}" for m in (*part.metrics, *part.published_metrics)]
    out.append(" & ".join(["Method", *names]) + " \\\\")
    for line in part.listed:
        if line.starts_group:
            width = 1 + n + n_published
            title = f"\\multicolumn{{{width}}}{{@{{}}l}}{{\\emph{{{line.starts_group}}}}} \\\\"
            out += ["\\midrule", title]
        entries = [line.entries[metric] for metric in part.metrics]
        cells = [_label(line.row.label, is_wide), *map(_entry, entries)]
        cells += [_published(line.entries[metric]) for metric in part.published_metrics]
        out += _row(cells, entries, with_intervals, n_published)
    return [*out, "\\bottomrule", "\\end{tabular}"]


def _grid_tabular(
    grid: Grid, entries_of: Sequence[Sequence[Entry]], is_wide: bool, with_intervals: bool
) -> list[str]:
    """Return the lines of an ablation's grid."""
    n = len(grid.columns)
    columns = "".join(map(_column, entries_of))
    name = f"\\multicolumn{{{n}}}{{c}}{{{escape_latex(grid.column_name)}}}"
    row_name, *texts = map(escape_latex, (grid.row_name, *grid.columns))
    out = [f"\\begin{{tabular}}{{@{{}}l{columns}@{{}}}}", "\\toprule", f" & {name} \\\\"]
    out += [f"\\cmidrule(l){{2-{n + 1}}}"]
    out += [" & ".join([row_name, *(f"{{{text}}}" for text in texts)]) + " \\\\", "\\midrule"]
    for row in grid.rows:
        entries = [grid.places.get((row, column)) for column in grid.columns]
        cells = [_entry(entry) if entry else f"{{{escape_latex(NOTHING)}}}" for entry in entries]
        out += _row([_label(row, is_wide), *cells], entries, with_intervals, 0)
    return [*out, "\\bottomrule", "\\end{tabular}"]


def _row(
    cells: Sequence[str], entries: Sequence[Entry | None], with_intervals: bool, n_empty: int
) -> list[str]:
    """Return the lines of a row, the second with its intervals, which keeps `n_empty` columns."""
    out = [" & ".join(cells) + " \\\\"]
    intervals = [entry.interval if entry else "" for entry in entries]
    if with_intervals and any(intervals):
        small = [f"{{\\tiny {escape_latex(text)}}}" if text else "" for text in intervals]
        out.append(" & ".join(["", *small, *[""] * n_empty]) + " \\\\[1pt]")
    return out


def _column(entries: Sequence[Entry]) -> str:
    """Return the column of some numbers."""
    finite = [entry for entry in entries if math.isfinite(entry.value)]
    return _number_column([e.mean for e in finite], [e.deviation for e in finite if e.deviation])


def _published_column(part: Part, metric: str) -> str:
    """Return the column of the published values of a metric."""
    texts = [line.entries[metric].published for line in part.listed]
    return _number_column([text.rstrip(SET_APART) for text in texts if text[-1:] in _ENDS])


def _number_column(texts: Sequence[str], deviations: Sequence[str] = ()) -> str:
    """Return a column of siunitx for numbers with two decimals, and for their deviations."""
    digits = max((len(text.lstrip("−").partition(".")[0]) for text in texts), default=1)
    sign = "-" if any(text.startswith("−") for text in texts) else ""
    n = max(map(len, map(_last_digits, deviations)), default=0)
    return f"S[table-format={sign}{digits}.2{f'({n})' if n else ''}]"


def _last_digits(deviation: str) -> str:
    """Return a deviation with two decimals in units of the last of them, as siunitx takes it.

    Examples
    --------
    >>> _last_digits("0.07"), _last_digits("1.20")
    ('7', '120')
    """
    return deviation.replace(".", "").lstrip("0") or "0"


def _entry(entry: Entry) -> str:
    """Return a number with its rank, its spread over trainings and its mark."""
    if not math.isfinite(entry.value):
        text = escape_latex(entry.text)
        return f"{{\\textbf{{{text}}}}}" if entry.rank == "best" else f"{{{text}}}"
    frame = {"best": "\\bfseries ", "second": "\\itshape "}.get(entry.rank, "")
    deviation = f"({_last_digits(entry.deviation)})" if entry.deviation else ""
    mark = "{\\rlap{$^{\\approx}$}}" if entry.close else ""
    return frame + entry.mean.replace("−", "-") + deviation + mark


def _published(entry: Entry) -> str:
    """Return a published value, or in its place words."""
    text = entry.published
    if text[-1:] not in _ENDS:
        return f"{{{escape_latex(text)}}}"
    number = text.rstrip(SET_APART).replace("−", "-")
    return number + (f"{{\\rlap{{{escape_latex(SET_APART)}}}}}" if text.endswith(SET_APART) else "")


def _label(text: str, is_wide: bool) -> str:
    """Return a row's label, in several lines where it is long and the table in one column."""
    text, n = escape_latex(text), len(text)
    if is_wide or n <= _LONG:
        return text
    return f"\\parbox[t]{{0.32\\linewidth}}{{\\raggedright {text}\\strut}}"


def escape_latex(text: str) -> str:
    r"""Return text in which no character is a command; Greek letters and signs become maths.

    A bracket or a star in front is set in braces: after the end of a line it would be an option.

    Examples
    --------
    >>> escape_latex("50 % of γ ≠ {x}"), escape_latex("[a] √2")
    ('50 \\% of $\\gamma$ $\\neq$ \\{x\\}', '{[}a] $\\sqrt{}$2')
    """
    encoded = _ENCODER.unicode_to_latex(text)
    encoded = re.sub(r"\\ensuremath\{((?:[^{}]|\{[^{}]*\})*)\}", r"$\1$", encoded)
    return re.sub(r"^([\[*])", r"{\1}", encoded)
