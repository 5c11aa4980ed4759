"""Numbers as text: rounded here and only here, once, from the unrounded value."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bench.scoring.aggregate import WITHOUT_UNIT, in_decibels, merit, metric_name

#: Text in the place of a number that does not exist.
NOTHING = "–"


def rounded(value: float, spread: float = math.nan) -> str:
    """Return a value with two decimals, and its spread over seeds where there is one.

    Examples
    --------
    >>> rounded(9.999), rounded(-0.001), rounded(float("inf")), rounded(float("nan"))
    ('10.00', '0.00', '∞', 'undefined')
    >>> rounded(7.452, spread=0.031)
    '7.45 ± 0.03'
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.2f}"
    text = "0.00" if text == "-0.00" else text.replace("-", "−")
    return text if math.isnan(spread) else f"{text} ± {spread:.2f}"


def rating(mean: float) -> str:
    """Return a mean rating from 0 to 100.

    Examples
    --------
    >>> rating(71.26), rating(float("nan"))
    ('71.3', '–')
    """
    return NOTHING if math.isnan(mean) else f"{mean:.1f}"


def rating_interval(mean: float, half_width: float) -> str:
    """Return the interval of a mean rating in brackets, within 0 and 100.

    Examples
    --------
    >>> rating_interval(71.26, 4.5), rating_interval(99.0, 3.0), rating_interval(50.0, float("nan"))
    ('[66.8, 75.8]', '[96.0, 100.0]', '–')
    """
    if math.isnan(half_width):
        return NOTHING
    return f"[{max(0.0, mean - half_width):.1f}, {min(100.0, mean + half_width):.1f}]"


def interval_text(low: float, high: float) -> str:
    """Return an interval in brackets, empty where there is none.

    Examples
    --------
    >>> interval_text(-0.5, 1.234), interval_text(float("nan"), float("nan"))
    ('[−0.50, 1.23]', '')
    """
    return "" if math.isnan(low) else f"[{rounded(low)}, {rounded(high)}]"


def p_value(p: float) -> str:
    """Return a p-value with its relation sign.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00004), p_value(1.0), p_value(0.0499)
    ('= 0.031', '< 0.001', '= 1', '= 0.0499')
    """
    if p < 0.001:
        return "< 0.001"
    text = f"{p:.2g}"
    return f"= {p:.3g}" if text == "0.05" else f"= {text}"


def correlation(value: float) -> str:
    """Return a correlation with two decimals.

    Examples
    --------
    >>> correlation(-0.456), correlation(1.0), correlation(-0.001)
    ('−0.46', '1.00', '0.00')
    """
    return rounded(value)


def p_values_text(over_songs: float, over_trainings: float, unit: str) -> str:
    """Return the p-values of a difference, and over what each is; empty for none.

    Examples
    --------
    >>> p_values_text(0.0312, float("nan"), "songs"), p_values_text(0.00004, 0.7812, "songs")
    ('p = 0.031 over songs', 'p < 0.001 over songs, p = 0.78 over trainings')
    """
    if math.isnan(over_songs):
        return ""
    text = f"p {p_value(over_songs)} over {unit}"
    known = not math.isnan(over_trainings)
    return text + (f", p {p_value(over_trainings)} over trainings" if known else "")


def heading(metric: str) -> str:
    """Return a metric as the heading of a column: its name, and whether more or less is better.

    Examples
    --------
    >>> heading("gnsdr"), heading("mr_stft")
    ('GNSDR ↑', 'MR-STFT ↓')
    """
    return f"{metric_name(metric)} {'↑' if merit(metric) > 0 else '↓'}"


def unit_of(metric: str) -> str:
    """Return what follows a value of a metric in a sentence: a space and its unit, or nothing.

    Examples
    --------
    >>> unit_of("gnsdr"), unit_of("fullness")
    (' dB', '')
    """
    return "" if metric in WITHOUT_UNIT else " dB"


def ends(metric: str) -> tuple[str, str]:
    """Return which end of a metric's values is the best, and which the worst.

    Examples
    --------
    >>> ends("gnsdr"), ends("mr_stft")
    (('highest', 'lowest'), ('lowest', 'highest'))
    """
    return ("highest", "lowest") if merit(metric) > 0 else ("lowest", "highest")


def better_side(metric: str) -> str:
    """Return on which side of a value a better one lies, for use in a sentence.

    Examples
    --------
    >>> better_side("gnsdr"), better_side("mr_stft")
    ('above', 'below')
    """
    return "above" if merit(metric) > 0 else "below"


def axis_name(metric: str) -> str:
    """Return a metric as the axis of a chart names it.

    Examples
    --------
    >>> axis_name("gnsdr"), axis_name("fullness")
    ('GNSDR (dB)', 'Fullness')
    """
    return metric_name(metric) + ("" if metric in WITHOUT_UNIT else " (dB)")


def in_unit(metrics: Iterable[str]) -> str:
    """Return what the title of a table of metrics adds: their unit, or nothing.

    Examples
    --------
    >>> in_unit(["gnsdr", "gsir"]), in_unit(["fullness"])
    (', in dB', '')
    """
    return ", in dB" if in_decibels(metrics) else ""
