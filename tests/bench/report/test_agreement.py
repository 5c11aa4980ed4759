"""Kendall's correlation of a report's measures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.report.agreement import agreements
from bench.report.committed import load_committed
from bench.report.formats.markdown import markdown
from bench.report.formats.page import html_page
from bench.report.tabulate import tabulate
from tests.command import ROOT

NO_FACTS = {"cells": [], "examples": []}


@pytest.fixture(scope="module")
def tables():
    return tabulate(load_committed(ROOT / "reports" / "select_rpca"))


def changed(tables, values):
    """Return tables whose rows have these values of GNSDR, GSIR and GSAR."""
    (part, *_) = tables.parts
    lines = [
        replace(
            line,
            entries={
                metric: replace(line.entries[metric], value=value)
                for metric, value in zip(part.metrics, triple, strict=True)
            },
        )
        for line, triple in zip(part.lines, values, strict=False)
    ]
    return replace(tables, parts=[replace(part, lines=lines)])


def test_the_order_of_rows_alone_counts_and_ties_for_neither(tables):
    rows = [(n, 10 * n**3, 8 - n) for n in range(1, 8)] + [(8, 9000, 1)]
    (agreement,) = agreements(changed(tables, rows))
    assert agreement.names == ["GNSDR", "GSIR", "GSAR"]
    assert agreement.tau["GNSDR", "GSIR"] == pytest.approx(1)
    # 27 of 28 pairs are opposed and one is tied: -27 / sqrt(28 * 27).
    assert agreement.tau["GNSDR", "GSAR"] == pytest.approx(-0.9819805)
    assert agreement.n_opposed["GNSDR", "GSAR"] == 27
    assert agreement.sentence == (
        "GNSDR and GSAR agree least: they put 27 of 28 pairs of rows in opposite orders. "
        "So do GSIR and GSAR."
    )
    same = agreements(changed(tables, [(n, n, 2 * n) for n in range(9)]))
    assert same[0].sentence == "All measures put the 9 ranked rows in the same order."


def test_rows_without_a_finite_value_and_few_rows_say_nothing(tables):
    rows = [(n, 10 * n, -n) for n in range(7)] + [(8, float("inf"), 1)]
    assert agreements(changed(tables, rows)) == []
    assert agreements(changed(tables, [(1, 1, 1)] * 9)) == []


def test_the_formats_show_it(tables):
    (agreement, *_) = agreements(tables)
    for text in (markdown(tables), html_page(tables, NO_FACTS)):
        assert "Which measure?" in text
        assert agreement.sentence in text


def test_a_distance_counts_with_its_sign_changed(tables):
    rows = [(n, 90 - n, n) for n in range(8)]
    (part, *_) = changed(tables, rows).parts
    lines = [
        replace(line, entries={"gnsdr": line.entries["gnsdr"], "mr_stft": line.entries["gsir"]})
        for line in part.lines
    ]
    distances = replace(tables, parts=[replace(part, metrics=["gnsdr", "mr_stft"], lines=lines)])
    (agreement,) = agreements(distances)
    assert agreement.tau["GNSDR", "MR-STFT"] == pytest.approx(1)
