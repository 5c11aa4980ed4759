"""The answer to an experiment's question: one paragraph made from the numbers of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.numbers import better_side, ends, p_values_text, rounded, unit_of
from bench.report.table import Line, Part
from bench.scoring.aggregate import merit, metric_name
from bench.store.results import Results


def answer_text(results: Results, part: Part) -> str:
    """Return what a table says: which row is best, by how much, and which equal it."""
    ranked = [line for line in part.lines if line.row.ranked]
    unfinished = [line.row.label for line in part.lines if line.row.status != "done"]
    corpus = results.corpus
    scope = f"On {corpus['n_test']} of {corpus['n_full']} test tracks of {corpus['title']}"
    first = _best(part, part.metrics[0])
    if first is None:
        if not ranked and not unfinished:
            return f"{scope} there is no method to rank: all rows are bounds or imported scores."
        return f"{scope} no method has a score of its {part.target} yet."
    if len(ranked) == 1:
        values = [
            f"{metric_name(metric)} {first.entries[metric].text}{unit_of(metric)}"
            for metric in part.metrics
        ]
        sentences = [f"{scope}, {first.row.label} has for the {part.target}: {', '.join(values)}."]
    else:
        sentences = [f"{scope}, {_best_sentence(part, first, ranked)}"]
    for metric in part.metrics[1:] if len(ranked) > 1 else []:
        best = _best(part, metric)
        if best is not None:
            entry = best.entries[metric]
            sentences.append(
                f"{metric_name(metric)} is {ends(metric)[0]} for {best.row.label} "
                f"({entry.text}{unit_of(metric)}"
                f"{', one training' if best.row.has_one_training else ''}{_ties(part, metric)})."
            )
    sentences += [*_best_bound(part, first), *_published(part, first)]
    if unfinished:
        sentences.append(f"Failed or not finished, and left out: {_listed(unfinished)}.")
    return " ".join(sentences)


def _best_sentence(part: Part, best: Line, ranked: Sequence[Line]) -> str:
    """Return by how much a row is best in the first metric, and which rows may be as good."""
    metric = part.metrics[0]
    entry = best.entries[metric]
    name = f"{metric_name(metric)} of the {part.target}"
    text = f"{best.row.label} has the {ends(metric)[0]} {name}, {entry.text}{unit_of(metric)}"
    text += f" (95 % interval over {part.unit} {entry.interval})" if entry.interval else ""
    others = [
        line
        for line in ranked
        if line is not best and math.isfinite(line.entries[metric].value)
    ]  # fmt: skip
    if not others or not math.isfinite(entry.value):
        return text + "."
    second = max(others, key=lambda line: merit(metric) * line.entries[metric].value)
    gap = abs(entry.value - second.entries[metric].value)
    if second.entries[metric].mean == entry.mean:
        text += f", as {second.row.label} has to two decimals"
    else:
        text += f", {rounded(gap)}{unit_of(metric)} {better_side(metric)} {second.row.label}"
    of_second = second.entries[metric]
    p_values = p_values_text(of_second.p_best, of_second.p_best_trainings, part.unit)
    if best.row.has_one_training and second.row.has_one_training:
        text += " (one training each, so that the difference is not tested)"
    elif p_values:
        text += f" ({'not significant' if of_second.close else 'significant'}: {p_values})"
    close = [line.row.label for line in others if line.entries[metric].close]
    if close:
        text += f"; {_listed(close)} {'is' if len(close) == 1 else 'are'} not told apart from it"
    return text + "."


def _ties(part: Part, metric: str) -> str:
    """Return which ranked rows are not told apart from the best, for use in brackets."""
    close = [
        line.row.label for line in part.lines if line.row.ranked and line.entries[metric].close
    ]
    if not close:
        return ""
    names = _listed(close) if len(close) < 4 else f"{len(close)} others"
    return f"; not told apart from {names}"


def _best_bound(part: Part, best: Line) -> list[str]:
    """Return the best bound's value, where it is better than the best row's."""
    metric = part.metrics[0]
    bounds = [
        line
        for line in part.lines
        if line.row.group == "bound" and math.isfinite(line.entries[metric].value)
    ]
    best_value = best.entries[metric].value
    if not bounds or not math.isfinite(best_value):
        return []
    top = max(bounds, key=lambda line: merit(metric) * line.entries[metric].value)
    value = top.entries[metric]
    if merit(metric) * (value.value - best_value) <= 0:
        return []
    return [f"The {ends(metric)[0]} bound, {top.row.label}, is at {value.text}{unit_of(metric)}."]


def _published(part: Part, best: Line) -> list[str]:
    """Return the value that was published for the best row."""
    metric = part.metrics[0]
    published = best.entries[metric].published
    if not published or not any(c.isdigit() for c in published):
        return []
    return [f"Published for {best.row.label}: {published}{unit_of(metric)} {metric_name(metric)}."]


def _best(part: Part, metric: str) -> Line | None:
    """Return the best row of a metric, None where no method has a score."""
    lines = [line for line in part.lines if line.entries[metric].rank == "best"]
    return max(lines, key=lambda line: merit(metric) * line.entries[metric].value, default=None)


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them.

    Examples
    --------
    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
