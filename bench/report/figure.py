"""The figure of an experiment: a panel for each metric, with 95 % intervals over seeds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from bench.report.curves import Shown, ordered

#: Inches.
PANEL, ROW_HEIGHT = 3.4, 0.28
#: Told apart in grey and by the colour-blind (Okabe and Ito).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
SETTINGS: Any = {
    "svg.hashsalt": "bench",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.constrained_layout.use": True,
}


def svg(shown: Shown) -> bytes:
    """Return a figure as SVG, the same bytes for the same scores."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        if shown.symbol:
            figure = Figure(figsize=(PANEL * (len(shown.metrics) + 1), PANEL * 0.9))
            draw_curves(figure, shown)
        else:
            height = 1.0 + ROW_HEIGHT * max(len(shown.points), 3)
            figure = Figure(figsize=(PANEL * len(shown.metrics) + 1.5, height))
            draw_rows(figure, shown)
        sink = io.BytesIO()
        figure.savefig(sink, format="svg", metadata={"Date": None})
    return sink.getvalue()


def title(metric: str) -> str:
    """Return a metric as an axis shows it."""
    return f"{metric.upper().replace('_', '-')} (dB)"


def draw_curves(figure: Any, shown: Shown) -> None:
    """Draw each metric against the swept hyperparameter, then SIR against SAR along it."""
    pair = trade(shown.metrics)
    panels = figure.subplots(1, len(shown.metrics) + bool(pair), squeeze=False)[0]
    values = [point.x for point in ordered(shown.points)]
    places = {value: i for i, value in enumerate(dict.fromkeys(values))}
    for n, curve in enumerate(shown.curves):
        style = {
            "color": COLOURS[n % len(COLOURS)],
            "marker": MARKERS[n % len(MARKERS)],
            "markersize": 4,
            "linewidth": 1.2,
            "elinewidth": 0.7,
        }
        # Curves stand a little beside each other, so that their intervals can be told apart.
        beside = 0.08 * (n - (len(shown.curves) - 1) / 2)
        for panel, metric in zip(panels, shown.metrics, strict=False):
            over = [point.over_seeds(metric) for point in curve.points]
            panel.errorbar(
                [places[point.x] + beside for point in curve.points],
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
    for panel, metric in zip(panels, shown.metrics, strict=False):
        panel.set_xticks(range(len(places)), [str(value) for value in places])
        panel.set_xlabel(shown.symbol)
        panel.set_title(title(metric))
    for sar, sir in [pair] if pair else []:
        panels[-1].set_xlabel(title(sar))
        panels[-1].set_title(f"{title(sir)} against {sar.upper()}, along {shown.symbol}")
    panels[0].legend(frameon=False)


def trade(metrics: Sequence[str]) -> tuple[str, str] | None:
    """Return the metrics for artifacts and for interference, where both are shown."""
    sar, sir = ([m for m in metrics if m.endswith(name)] for name in ("sar", "sir"))
    return (sar[0], sir[0]) if sar and sir else None


def draw_rows(figure: Any, shown: Shown) -> None:
    """Draw a point for each row, the first on top, and each seed as a small dot."""
    panels = figure.subplots(1, len(shown.metrics), sharey=True, squeeze=False)[0]
    for panel, metric in zip(panels, shown.metrics, strict=True):
        for i, point in enumerate(shown.points):
            over = point.over_seeds(metric)
            panel.plot(point.seeds[metric], [i] * len(point.seeds[metric]), ".", color="#999999")
            panel.errorbar(over.mean, i, xerr=over.half_width, fmt="o", color=COLOURS[0], capsize=2)
        panel.set_title(title(metric))
    panels[0].set_yticks(range(len(shown.points)), [point.row for point in shown.points])
    panels[0].invert_yaxis()
