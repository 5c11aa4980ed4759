"""Numbers as text: rounded here and only here, once, from the unrounded value."""

from __future__ import annotations

import math

#: Text in the place of a number that does not exist.
NOTHING = "–"


def decibels(value: float, spread: float = math.nan) -> str:
    """Return a value in dB with two decimals, and its spread over seeds where there is one.

    Examples
    --------
    >>> decibels(9.999), decibels(-0.001), decibels(float("inf")), decibels(float("nan"))
    ('10.00', '0.00', '∞', 'undefined')
    >>> decibels(7.452, spread=0.031)
    '7.45 ± 0.03'
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.2f}"
    text = "0.00" if text == "-0.00" else text.replace("-", "−")
    return text if math.isnan(spread) else f"{text} ± {spread:.2f}"


def interval_text(low: float, high: float) -> str:
    """Return an interval in brackets, empty where there is none.

    Examples
    --------
    >>> interval_text(-0.5, 1.234), interval_text(float("nan"), float("nan"))
    ('[−0.50, 1.23]', '')
    """
    return "" if math.isnan(low) else f"[{decibels(low)}, {decibels(high)}]"


def p_value(p: float) -> str:
    """Return a p-value with its relation sign.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.00004), p_value(1.0)
    ('= 0.031', '< 0.001', '= 1')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def correlation(value: float) -> str:
    """Return a correlation with two decimals.

    Examples
    --------
    >>> correlation(-0.456), correlation(1.0), correlation(-0.001)
    ('−0.46', '1.00', '0.00')
    """
    return decibels(value)


def metric_name(metric: str) -> str:
    """Return a metric as a heading shows it.

    Examples
    --------
    >>> metric_name("si_sdr")
    'SI-SDR'
    """
    return metric.upper().replace("_", "-")
