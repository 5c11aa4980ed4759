"""What was found, in one paragraph made from the figures of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report.table import Line, Part, metric_name, number
from bench.store.results import Results


def answer(results: Results, part: Part) -> str:
    """Return the findings of the first table: who is best by how much, and whether it is sure."""
    ranked = [line for line in part.lines if line.row.ranked]
    waiting = [line.row.label for line in part.lines if line.row.status != "done"]
    corpus = results.corpus
    scope = f"On {corpus['n_test']} of {corpus['n_full']} test tracks of {corpus['title']}"
    first = leader(part, part.metrics[0])
    if first is None:
        return f"{scope} no method has a score of its {part.target} yet."
    sentences = [f"{scope}, {sentence(part, part.metrics[0], ranked)}"]
    for metric in part.metrics[1:]:
        best = leader(part, metric)
        if best is not None:
            entry = best.entries[metric]
            sentences.append(
                f"{metric_name(metric)} is highest for {best.row.label} ({entry.text} dB"
                f"{ties(part, metric)})."
            )
    sentences += [*bound(part, first), *beside(part, first)]
    if waiting:
        sentences.append(f"Failed or not finished, and left out: {listed(waiting)}.")
    return " ".join(sentences)


def sentence(part: Part, metric: str, ranked: Sequence[Line]) -> str:
    """Return who is best in a metric, by how much, and who cannot be told apart from it."""
    best = leader(part, metric)
    if best is None:
        return ""
    entry = best.entries[metric]
    name = f"{metric_name(metric)} of the {part.target}"
    text = f"{best.row.label} has the highest {name}, {entry.text} dB"
    text += f" (95 % interval over tracks {entry.interval})" if entry.interval else ""
    others = [
        line
        for line in ranked
        if line is not best and math.isfinite(line.entries[metric].value)
    ]  # fmt: skip
    if not others or not math.isfinite(entry.value):
        return text + "."
    second = max(others, key=lambda line: line.entries[metric].value)
    gap = entry.value - second.entries[metric].value
    p = second.entries[metric].p_best
    sure = "not significant" if second.entries[metric].close else "significant"
    text += f", {number(gap)} dB above {second.row.label}"
    text += "" if math.isnan(p) else f" ({sure}: Wilcoxon, Holm, p {p_value(p)})"
    close = [line.row.label for line in others if line.entries[metric].close]
    if close:
        text += f"; {listed(close)} {'is' if len(close) == 1 else 'are'} not told apart from it"
    return text + "."


def ties(part: Part, metric: str) -> str:
    """Return who is not significantly worse than the best of a metric, to stand in brackets."""
    close = [line.row.label for line in part.lines if line.entries[metric].close]
    if not close:
        return ""
    names = listed(close) if len(close) < 4 else f"{len(close)} others"
    return f"; not told apart from {names}"


def bound(part: Part, best: Line) -> list[str]:
    """Return how far the best is from the highest bound."""
    metric = part.metrics[0]
    bounds = [
        line
        for line in part.lines
        if line.row.group == "bound" and math.isfinite(line.entries[metric].value)
    ]
    mine = best.entries[metric].value
    if not bounds or not math.isfinite(mine):
        return []
    top = max(bounds, key=lambda line: line.entries[metric].value)
    value = top.entries[metric]
    if value.value <= mine:
        return []
    return [f"The highest bound, {top.row.label}, is at {value.text} dB."]


def beside(part: Part, best: Line) -> list[str]:
    """Return how the best row stands to what was published of it."""
    metric = part.metrics[0]
    published = best.entries[metric].published
    if not published or not any(c.isdigit() for c in published):
        return []
    return [f"Published for {best.row.label}: {published} dB {metric_name(metric)}."]


def leader(part: Part, metric: str) -> Line | None:
    """Return the best row of a metric, None where no method has a score."""
    found = [line for line in part.lines if line.entries[metric].rank == "best"]
    return max(found, key=lambda line: line.entries[metric].value) if found else None


def p_value(p: float) -> str:
    """Return a p-value for the eye.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00004), p_value(1.0)
    ('= 0.031', '< 0.001', '= 1')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
