"""How the rows of a table compare: a diagram of few, a matrix of many."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from markupsafe import escape

from bench.report.committed import load_committed
from bench.report.cost import Cost, cost_table
from bench.report.formats.page_charts import part_charts, track_pairs, trade_off_chart
from bench.report.tabulate import tabulate
from tests.command import ROOT


@pytest.fixture(scope="module")
def tables():
    return tabulate(load_committed(ROOT / "reports" / "paper_table3"))


def test_many_rows_are_compared_pair_by_pair(tables):
    part = tables.parts[0]
    charts = part_charts(tables, part, 0)
    assert charts.diagrams == []
    assert [matrix.metric for matrix in charts.matrices] == ["NSDR", "SIR", "SAR"]
    matrix = charts.matrices[0]
    ranked = [line.row.label for line in part.lines if line.row.ranked]
    assert sorted(matrix.labels) == sorted(ranked)
    n = len(ranked)
    assert [len(pairs) for pairs in matrix.pairs] == list(range(n - 1, -1, -1))
    drawn = {line.row.label for line in part.lines if line.row.has_one_training}
    n_tested = math.comb(n, 2) - math.comb(len(drawn & set(ranked)), 2)
    assert f"of {n_tested} pairs" in matrix.caption
    for label, pairs in zip(matrix.labels, matrix.pairs, strict=True):
        after = matrix.labels[matrix.labels.index(label) + 1 :]
        untested = [not apart for other, (_, apart) in zip(after, pairs, strict=True)
                    if {label, other} <= drawn]  # fmt: skip
        assert all(untested)


def test_few_rows_are_compared_in_a_diagram():
    few = tabulate(load_committed(ROOT / "reports" / "musdb18"))
    charts = part_charts(few, few.parts[0], 0)
    n_ranked = sum(line.row.ranked for line in few.parts[0].lines)
    assert bool(charts.matrices) == (n_ranked > 10)
    shift = tabulate(load_committed(ROOT / "reports" / "shift"))
    charts = part_charts(shift, shift.parts[0], 0)
    assert charts.matrices == []
    assert charts.diagrams[0].caption.startswith("NSDR: mean ranks over 89 songs, 1 the best.")


def test_the_pair_to_begin_with_is_the_best_and_the_second(tables):
    pairs = track_pairs(tables, tables.parts[0])
    assert pairs["first"] == ["DRNN-2 + discrim", "DRNN-2"]
    assert pairs["metric"] == "NSDR"
    assert {len(scores) for scores in pairs["rows"].values()} == {len(pairs["tracks"])} == {825}


def test_the_table_of_cost_has_the_columns_that_hold_something():
    network = Cost("DNN *", 61.0, 0.5, None, 2.0**30, "float32", parameters=1e6)
    heading, *rows = cost_table([network, Cost("REPET", None, 0.25, None, None, None)])
    columns = ["Parameters", "Training", "Real-time factor", "Memory, separation"]
    assert heading == ["Method", *columns, "Precision of the training"]
    assert rows[0] == ["DNN *", "1 M", "1 min 1 s", "0.5", "1.0 GiB", "float32"]
    assert rows[1] == ["REPET", "–", "–", "0.25", "–", "–"]


def test_imported_scores_have_no_row_in_the_table_of_cost():
    imported = Cost("UHL2", None, None, None, None, None)
    heading, *rows = cost_table([imported, Cost("REPET", None, 0.25, None, None, None)])
    assert heading == ["Method", "Real-time factor"]
    assert rows == [["REPET", "0.25"]]
    assert cost_table([imported]) == []


def test_quality_is_drawn_against_cost_where_networks_have_three_sizes(tables):
    labels = [line.row.label for line in tables.parts[0].lines][:3]
    costs = [
        Cost(label, 60.0 * n, 0.1 * n, None, None, "float32", parameters=n * 1e6)
        for n, label in enumerate(labels, 1)
    ]
    chart = trade_off_chart(tables, costs)
    assert chart is not None
    for text in ("parameters (millions)", "training (minutes)", "real-time factor"):
        assert text in chart.svg
    assert all(str(escape(label)) in chart.svg for label in labels)
    assert costs[0].texts[:2] == ("1 M", "1 min 0 s")
    assert trade_off_chart(tables, costs[:2]) is None
    assert trade_off_chart(tables, [replace(cost, parameters=1e6) for cost in costs]) is None
