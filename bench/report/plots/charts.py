"""The charts of a page as SVG: rows at a glance, scores by track, and pairs of rows compared.

The critical-difference diagram is drawn here and not by scikit-posthocs, for the reasons in
`bench.report.statistics`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.plots.figure import COLOURS, SETTINGS, mark, svg_of
from bench.report.statistics import Ranks

#: Width of a panel and height of a row in it, in inches.
_PANEL, _ROW = 2.35, 0.24
#: Length in inches of the axis of mean ranks, and of the mean character of a label beside it.
_RANK_AXIS, _CHARACTER = 3.6, 0.066
#: Up to this number of tracks each is drawn as a dot.
_FEW = 30
#: Settings of matplotlib for a page: text is kept as text, which takes the page's font.
_PAGE: Any = {**SETTINGS, "svg.fonttype": "none", "text.parse_math": False, "font.size": 8.5}
_BLACK = "#000000"
#: Colour of each group, distinct to the colour-blind.
_GROUP_COLOURS = {
    "supervised": COLOURS[0],
    "unsupervised": COLOURS[1],
    "elsewhere": COLOURS[2],
    "imported": COLOURS[3],
    "bound": "#888888",
}


def distributions(
    values: Mapping[str, Mapping[str, NDArray[np.float64]]], groups: Mapping[str, str]
) -> bytes:
    """Return a panel for each metric with a box for each row, the same rows in each.

    A box has median and quartiles; its whiskers reach the last score within 1.5 times the
    distance of the quartiles.

    Parameters
    ----------
    values
        By the name of an axis the scores of the tracks of each row; those that are not finite are
        not drawn.
    groups
        The group of each row.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    labels = list(groups)
    with mpl.rc_context(_PAGE):
        width = 0.3 + _CHARACTER * max(map(len, labels)) + _PANEL * len(values)
        figure = Figure(figsize=(width, 0.55 + _ROW * len(labels)))
        panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
        for panel, (name, of_row) in zip(panels, values.items(), strict=True):
            for place, label in enumerate(labels):
                scores = of_row.get(label, np.empty(0))
                _draw_box(panel, place, scores[np.isfinite(scores)], _GROUP_COLOURS[groups[label]])
            panel.set_xlabel(name)
            panel.grid(visible=False, axis="y")
            panel.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.4, -0.6)
        return svg_of(figure, transparent=True)


def _draw_box(panel: Any, place: int, scores: NDArray[np.float64], colour: str) -> None:
    """Draw the box of a row, and each of its scores as a dot where there are few."""
    line = {"color": colour, "linewidth": 0.9}
    few = len(scores) <= _FEW
    panel.boxplot(
        [scores],
        positions=[place],
        orientation="horizontal",
        widths=0.62,
        patch_artist=True,
        showfliers=not few,
        manage_ticks=False,
        boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
        medianprops={"color": _BLACK, "linewidth": 1.3},
        flierprops={"marker": ".", "markersize": 2.5, "markeredgecolor": colour},
        whiskerprops=line,
        capprops=line,
    )
    if few:
        panel.plot(scores, np.full(len(scores), place), ".", color=colour, markersize=3.5)


@dataclass(frozen=True)
class RowPlace:
    """A row's place on an axis: its value, the ends of its interval, and what was published."""

    value: float
    low: float
    high: float
    published: float


def overview(places: Mapping[str, Mapping[str, RowPlace]], groups: Mapping[str, str]) -> bytes:
    """Return a panel for each metric: rows as points with intervals, published values as diamonds.

    Parameters
    ----------
    places
        For each metric's name the place of each row, the same rows in each. A number that is not
        finite is not drawn.
    groups
        The group of each row.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    labels = list(groups)
    with mpl.rc_context(_PAGE):
        width = 2.1 + _PANEL * len(places)
        figure = Figure(figsize=(width, 0.55 + 0.21 * len(labels)))
        panels = figure.subplots(1, len(places), sharey=True, squeeze=False)[0]
        for panel, (name, of_row) in zip(panels, places.items(), strict=True):
            for y, label in enumerate(labels):
                at, colour = of_row[label], _GROUP_COLOURS[groups[label]]
                if math.isfinite(at.low) and math.isfinite(at.high):
                    panel.plot([at.low, at.high], [y, y], color=colour, linewidth=1.3)
                if math.isfinite(at.value):
                    panel.plot([at.value], [y], "o", color=colour, markersize=4)
                if math.isfinite(at.published):
                    panel.plot([at.published], [y], "D", color=_BLACK, mfc="none", markersize=4.5)
            panel.set_title(name, fontsize=9)
            panel.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.4, -0.6)
        return svg_of(figure, transparent=True)


def critical_difference(ranks: Ranks) -> bytes:
    """Return a critical-difference diagram: mean ranks on an axis, a bar over each clique."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    labels, n = list(ranks.mean_rank), len(ranks.mean_rank)
    half = (n + 1) // 2
    bars = _levels(ranks)
    deepest = 0.55 + 0.34 * (max(bars, default=-1) + 1)
    depth = deepest + 0.9 * half + 0.3
    with mpl.rc_context(_PAGE):
        side_inches = 0.6 + _CHARACTER * max(map(len, labels))
        size = (_RANK_AXIS + 2 * side_inches, 0.42 + 0.2 * depth)
        figure = Figure(figsize=size)
        figure.set_layout_engine("none")
        panel = figure.add_axes((0, 0, 1, 1))
        margin = side_inches * (n - 1) / _RANK_AXIS
        panel.set_xlim(1 - margin, n + margin)
        panel.set_ylim(depth, -1.3)
        panel.axis("off")
        panel.plot([1, n], [0, 0], color=_BLACK, linewidth=1)
        for tick in range(1, n + 1):
            panel.plot([tick, tick], [0, -0.25], color=_BLACK, linewidth=1)
            panel.text(tick, -0.45, str(tick), ha="center", va="bottom")
        for place, label in enumerate(labels):
            left = place < half
            y = deepest + 0.9 * (place if left else n - 1 - place) + 0.45
            x, edge = ranks.mean_rank[label], 1 - 0.03 * n if left else n + 0.03 * n
            panel.plot([x, x, edge], [0, y, y], color="#888888", linewidth=0.8)
            panel.plot([x], [0], "o", color=COLOURS[0], markersize=3.5)
            text = f"{label}  {x:.2f}" if left else f"{x:.2f}  {label}"
            side = "right" if left else "left"
            panel.text(edge + (-0.06 if left else 0.06), y, text, ha=side, va="center")
        for level, clique in zip(bars, ranks.cliques, strict=True):
            ends = [ranks.mean_rank[clique[0]] - 0.05, ranks.mean_rank[clique[-1]] + 0.05]
            y = 0.5 + 0.34 * level
            panel.plot(ends, [y, y], color=COLOURS[1], linewidth=3, solid_capstyle="butt")
        return svg_of(figure, transparent=True)


def _levels(ranks: Ranks) -> list[int]:
    """Return for the bar of each clique the highest level on which it overlaps no other bar."""
    taken: list[float] = []
    levels = []
    for clique in ranks.cliques:
        start, stop = ranks.mean_rank[clique[0]], ranks.mean_rank[clique[-1]]
        free = [i for i, end in enumerate(taken) if end < start - 0.15]
        level = free[0] if free else len(taken)
        taken[level : level + 1] = [stop]
        levels.append(level)
    return levels


def trade_offs(
    costs: Mapping[str, Mapping[str, float]], values: Mapping[str, float], name: str
) -> bytes:
    """Return a panel for each kind of cost: a row's quality against it, one marker a row.

    Parameters
    ----------
    costs
        By the name of an axis the cost of each row; one of 0 is not drawn.
    values
        Quality of each row.
    name
        Label of the axis of quality.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    with mpl.rc_context(_PAGE):
        figure = Figure(figsize=(2.6 * len(costs), 2.5 + 0.2 * len(values)))
        panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
        for panel, (axis, of_row) in zip(panels, costs.items(), strict=True):
            for n, (label, cost) in enumerate(of_row.items()):
                if cost > 0:
                    marker, colour = mark(n)
                    style = {"color": colour, "markersize": 6, "label": label}
                    panel.plot([cost], [values[label]], marker, **style)
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
            panel.xaxis.set_minor_locator(NullLocator())
            panel.set_xlabel(axis)
        panels[0].set_ylabel(name)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", fontsize=8, frameon=False)
        return svg_of(figure, transparent=True)


def inline(svg: bytes, prefix: str, label: str) -> str:
    """Return SVG as part of a page: in the text's colour, with ids that are unique in the page.

    Parameters
    ----------
    svg
        A drawing as matplotlib wrote it.
    prefix
        Letters and digits that its ids begin with.
    label
        Description of the drawing for screen readers.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = text.replace(_BLACK, "currentColor").replace("fill: #ffffff", "fill: none")
    text = text.replace(COLOURS[0], "var(--blue)")  # lighter on a dark page
    width = re.search(r'width="([\d.]+)pt" height="[\d.]+pt"', text)
    if width:
        size = f'style="width:{float(width[1]) / 12:.1f}em;max-width:100%;height:auto"'
        text = text.replace(width[0], size, 1)
    name = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg", f'<svg role="img" aria-label="{name}"', 1).strip()
