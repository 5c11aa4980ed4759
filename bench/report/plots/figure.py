"""The figure of an experiment: a panel for each metric, with 95 % intervals over seeds."""

from __future__ import annotations

import io
import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bench.report.curves import FigureData, ordered
from bench.report.numbers import axis_name

#: Width of a panel and height of a row, in inches.
_PANEL, _ROW_HEIGHT = 3.4, 0.28
#: Distinct in grey and to the colour-blind (Okabe and Ito).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
#: An id that is a hash, where it is set and where it is used.
_HASHED_ID = re.compile(r'((?:id="|url\(#|href="#)[a-z])([0-9a-f]{10})(?=["\)])')
SETTINGS: Any = {
    "svg.hashsalt": "bench",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.constrained_layout.use": True,
}


def figure_svg(data: FigureData) -> bytes:
    """Return a figure as SVG, the same bytes for the same scores."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        if data.symbol:
            figure = Figure(figsize=(_PANEL * (len(data.metrics) + 1), _PANEL * 0.9))
            _draw_curves(figure, data)
        else:
            height = 1.0 + _ROW_HEIGHT * max(len(data.points), 3)
            figure = Figure(figsize=(_PANEL * len(data.metrics) + 1.5, height))
            _draw_rows(figure, data)
        return svg_of(figure)


def svg_of(figure: Any, **settings: Any) -> bytes:
    """Return a figure as SVG, the same bytes for the same content on every processor.

    Matplotlib names clip paths and markers by hashes of their coordinates, whose last bits differ
    between processors; here they are numbered in the order in which they appear.

    Parameters
    ----------
    figure
        A figure of matplotlib.
    settings
        For `matplotlib.figure.Figure.savefig`.
    """
    sink = io.BytesIO()
    figure.savefig(sink, format="svg", metadata={"Date": None}, **settings)
    numbers = defaultdict[str, int](itertools.count(1).__next__)
    return _HASHED_ID.sub(
        lambda match: f"{match[1]}{numbers[match[2]]}", sink.getvalue().decode()
    ).encode()


def mark(n: int) -> tuple[str, str]:
    """Return the marker and the colour of the n-th row or curve, from 0 on; 49 pairs differ.

    Examples
    --------
    >>> len({mark(n) for n in range(49)})
    49
    """
    return _MARKERS[n % len(_MARKERS)], COLOURS[(n + n // len(_MARKERS)) % len(COLOURS)]


def _draw_curves(figure: Any, data: FigureData) -> None:
    """Draw each metric against the swept hyperparameter, then SIR against SAR along it."""
    pair = _artifacts_and_interference(data.metrics)
    panels = figure.subplots(1, len(data.metrics) + bool(pair), squeeze=False)[0]
    values = [point.x for point in ordered(data.points)]
    places = {value: i for i, value in enumerate(dict.fromkeys(map(str, values)))}
    for n, curve in enumerate(data.curves):
        marker, colour = mark(n)
        style = {
            "color": colour,
            "marker": marker,
            "markersize": 4,
            "linewidth": 1.2,
            "elinewidth": 0.7,
        }
        # Each curve is shifted a little along the axis, so that intervals do not overlap.
        shift = 0.08 * (n - (len(data.curves) - 1) / 2)
        for panel, metric in zip(panels, data.metrics, strict=False):
            over = [point.over_seeds(metric) for point in curve.points]
            panel.errorbar(
                [places[str(point.x)] + shift for point in curve.points],
                [o.mean for o in over],
                [o.half_width for o in over],
                capsize=2,
                label=curve.label,
                **style,
            )
        if pair:
            xs, ys = ([point.over_seeds(metric) for point in curve.points] for metric in pair)
            panels[-1].errorbar(
                [x.mean for x in xs],
                [y.mean for y in ys],
                [y.half_width for y in ys],
                [x.half_width for x in xs],
                **style,
            )
            for point, x, y in list(zip(curve.points, xs, ys, strict=True))[:: len(xs) - 1 or 1]:
                panels[-1].annotate(  # the ends alone: those between lie in order
                    f"{point.x}",
                    (x.mean, y.mean),
                    xytext=(4, 3),
                    textcoords="offset points",
                    fontsize=6.5,
                    color=style["color"],
                )
    for panel, metric in zip(panels, data.metrics, strict=False):
        panel.set_xticks(range(len(places)), list(places))
        panel.set_xlabel(data.symbol)
        panel.set_title(axis_name(metric))
    for sar, sir in [pair] if pair else []:
        panels[-1].set_xlabel(axis_name(sar))
        panels[-1].set_title(f"{axis_name(sir)} against {sar.upper()}, along {data.symbol}")
    panels[0].legend(frameon=False)


def _artifacts_and_interference(metrics: Sequence[str]) -> tuple[str, str] | None:
    """Return the metrics for artifacts and for interference, where both are data."""
    sar, sir = ([m for m in metrics if m.endswith(name)] for name in ("sar", "sir"))
    return (sar[0], sir[0]) if sar and sir else None


def _draw_rows(figure: Any, data: FigureData) -> None:
    """Draw a point for each row, the first on top, and each seed as a small dot."""
    panels = figure.subplots(1, len(data.metrics), sharey=True, squeeze=False)[0]
    for panel, metric in zip(panels, data.metrics, strict=True):
        for i, point in enumerate(data.points):
            over = point.over_seeds(metric)
            panel.plot(point.seeds[metric], [i] * len(point.seeds[metric]), ".", color="#999999")
            panel.errorbar(over.mean, i, xerr=over.half_width, fmt="o", color=COLOURS[0], capsize=2)
        panel.set_title(axis_name(metric))
    panels[0].set_yticks(range(len(data.points)), [point.row for point in data.points])
    panels[0].invert_yaxis()
