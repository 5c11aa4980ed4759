"""The figure of an experiment and the sentences made from its numbers."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.report.curves import Curve, FigureData, Point, figure_data
from bench.report.formats.latex import latex
from bench.report.formats.markdown import markdown
from bench.report.plots.figure import figure_svg, svg_of
from bench.report.prose.findings import findings
from bench.report.tabulate import tabulate
from bench.report.write import write_report
from bench.store.cell_folder import CellFolder
from bench.store.results import Results, read_outcome
from bench.store.workspace import Workspace

SPREAD = 0.1


def scores(gnsdr, gsir, gsar):
    columns = ["track", "target", "protocol", "metric", "window", "value", "n_samples"]
    values = {"nsdr": gnsdr, "sdr": gnsdr, "sir": gsir, "sar": gsar}
    rows = [("a", "vocals", "bss_eval_v3", m, -1, v, 16_000) for m, v in values.items()]
    return pd.DataFrame(rows, columns=columns)


def results_of(tmp_path, methods, values, over="", seeds=(0, 1, 2), jitter=()):
    """Return results in which the row i of seed s has ``values[i]`` and s times a spread.

    With `jitter` the seeds of a row are in an order of their own.
    """
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "title": "Title",
            "why": "Why.",
            "dataset": "synthetic",
            "seeds": list(seeds),
            "methods": methods,
            "table": {"targets": ["vocals"]},
            "figure": {"over": over, "symbol": "γ" if over else ""},
        }
    )
    outcomes = []
    labels = [label for entry in experiment.methods for label, _ in entry.variants()]
    for n_row, (label, triple) in enumerate(zip(labels, values, strict=True)):
        for seed in seeds:
            digests, version = {"test": "d" * 64}, {"bss_eval_v3": 1}
            cell = Cell(
                label, label, "supervised", 1, {}, seed, "synthetic", digests, version
            )  # fmt: skip
            folder = CellFolder(tmp_path / "runs", cell)
            folder.begin()
            if triple is not None:
                offset = jitter[(seed + n_row) % 3] if jitter else seed - 1
                shifted = [value + SPREAD * offset for value in triple]
                folder.write_scores("bss_eval_v3", scores(*shifted), {})
            outcomes.append(read_outcome(folder, "x"))
    corpus = {"title": "C", "citation": "S.", "licence": "free", "n_test": 1, "n_full": 1}
    return Results(experiment, corpus, outcomes)


GAMMA = [
    {"method": "drnn", "label": "DNN", "sweep": {"gamma": [0.5, 0, 0.1]}},
    {"method": "drnn", "label": "DRNN-2, γ = {gamma}", "sweep": {"gamma": [0, 0.1]}},
]
#: In the order of the file: GNSDR, GSIR, GSAR.
VALUES = [(6.0, 14.0, 8.0), (7.0, 11.0, 10.0), (7.1, 12.0, 9.0), (7.2, 12.0, 10.0), None]


@pytest.fixture
def swept(tmp_path):
    return results_of(tmp_path, GAMMA, VALUES, "gamma")


def numbers(results):
    return figure_data(tabulate(results), results.experiment.figure)


def test_a_curve_runs_along_the_swept_value_and_leaves_out_what_is_not_done(swept):
    dnn, drnn = numbers(swept).curves
    assert (dnn.label, [point.x for point in dnn.points]) == ("DNN", [0, 0.1, 0.5])
    assert [point.over_seeds("gsir").mean for point in dnn.points] == [11, 12, 14]
    assert (drnn.label, [point.x for point in drnn.points]) == ("DRNN-2", [0])


def test_intervals_are_students_over_seeds(swept):
    lines = tabulate(swept).aggregates
    row = lines[(lines.row == "DNN (gamma = 0.1)") & (lines.metric == "gsir")].iloc[0]
    assert (row.value, row.n_seeds) == (12, 3)
    assert row.spread == pytest.approx(SPREAD)
    assert row.half_width == pytest.approx(4.302653 * SPREAD / 3**0.5, rel=1e-6)


def test_sentences_say_from_where_to_where_and_how_steadily(swept):
    lines = findings(numbers(swept))
    assert len(lines) == 3  # one row of DRNN-2 alone shows no course
    assert lines[1] == (
        "DNN: GSIR rises as γ goes from 0 to 0.5, from 11.00 ± 0.10 to 14.00 ± 0.10 dB "
        "(2 of 2 steps up); it is highest at γ = 0.5 (14.00 ± 0.10 dB)."
    )
    assert lines[2].startswith("DNN: GSAR falls as γ goes from 0 to 0.5")
    assert lines[0].startswith("DNN: GNSDR falls on the whole as")
    assert "its highest mean is at γ = 0.1 (7.10" in lines[0]


def test_a_change_that_the_seeds_explain_is_not_called_one(tmp_path):
    far = [(7.0, 12.0, 10.0), (7.1, 12.5, 10.0)]
    steady = results_of(tmp_path / "a", GAMMA[1:], far, "gamma")
    assert "GSIR rises as" in findings(numbers(steady))[1]
    values = [(7.0, 12.0, 10.0), (7.1, 12.1, 10.0)]
    restless = results_of(tmp_path / "b", GAMMA[1:], values, "gamma", jitter=(-1, 1, 0.2))
    for line in findings(numbers(restless)):
        assert "does not change beyond what the seeds explain" in line


ROWS = [
    {"method": "drnn", "label": "Joint"},
    {"method": "drnn", "label": "None", "fixed": {"mask": "none"}},
    {"method": "drnn", "label": "Square", "fixed": {"mask": "square"}},
]


def test_rows_are_compared_with_what_the_seeds_explain(tmp_path):
    values = [(7.0, 12.0, 10.0), (5.0, 9.0, 11.0), (6.9, 12.1, 9.0)]
    results = results_of(tmp_path, ROWS, values, jitter=(-1, 1, 0))
    lines = findings(numbers(results))
    assert lines[0] == (
        "GNSDR has its highest mean for Joint (7.00 ± 0.10 dB), 0.10 dB above Square (no more than "
        "the seeds explain), and lowest for None (5.00 ± 0.10 dB)."
    )
    assert "GSAR is highest for None (11.00 ± 0.10 dB), 1.00 dB above Joint (more" in lines[2]


def test_rows_of_several_trainings_are_compared_with_one_of_none():
    metrics = ("gnsdr", "gsir", "gsar")
    drawn = Point("Drawn", "Drawn", {key: [5.0, 5.1, 5.2] for key in metrics}, "abc")
    steady = Point("Steady", "Steady", {key: [3.0] for key in metrics})
    lines = findings(FigureData([Curve("", [drawn, steady])], metrics, "", "vocals"))
    assert len(lines) == len(metrics)
    assert lines[0].startswith("GNSDR is highest for Drawn (5.10 ± 0.10 dB), 2.10 dB above Steady")
    assert "more than the seeds explain" in lines[0]


def test_rows_that_draw_nothing_are_compared_as_they_are():
    metrics = ("gnsdr", "gsir", "gsar")
    rows = [
        Point(str(value), str(value), {key: [value] for key in metrics}) for value in (3.0, 5.0)
    ]
    lines = findings(FigureData([Curve("", rows)], metrics, "", "vocals"))
    assert "GNSDR is highest for 5.0 (5.00 dB), 2.00 dB above 3.0 (neither draws" in lines[0]


def test_what_stays_the_same_does_not_go_down():
    points = [Point(str(x), x, {"gnsdr": [7.0]}, "a") for x in (1, 2)]
    (line,) = findings(FigureData([Curve("Net", points)], ["gnsdr"], "γ", "vocals"))
    assert line.removeprefix("Net: ").startswith("GNSDR stays the same as γ goes from 1 to 2")


def test_rows_without_a_finite_mean_are_left_out_and_named():
    nothing, less, more = float("nan"), 5.0, 6.0
    rows = [Point(n, n, {"gnsdr": [v]}) for n, v in zip("abc", (nothing, less, more), strict=True)]
    (line,) = findings(FigureData([Curve("", rows)], ["gnsdr"], "", "vocals"))
    assert line.startswith("GNSDR is highest for c (6.00 dB), 1.00 dB above b")
    assert line.endswith("and lowest for b (5.00 dB). Left out: a (undefined).")
    curve = [Point(str(x), x, {"gnsdr": [v]}) for x, v in enumerate((float("inf"), less, more))]
    (line,) = findings(FigureData([Curve("Net", curve)], ["gnsdr"], "γ", "vocals"))
    assert "as γ goes from 1 to 2, from 5.00 to 6.00 dB" in line
    assert line.endswith("Left out: 0 (∞).")


def test_a_swept_list_can_be_drawn():
    points = [Point(str(x), x, {"gnsdr": [1.0, 2.0]}, "ab") for x in ([1, 2], [3])]
    assert figure_svg(FigureData([Curve("Net", points)], ["gnsdr"], "layers", "vocals"))


def test_one_seed_has_no_interval_and_says_so(tmp_path):
    results = results_of(tmp_path, ROWS, [(7, 12, 10), (5, 9, 11), (6.9, 12.1, 9)], seeds=(0,))
    assert "(one training, so nothing is known of its spread)" in findings(numbers(results))[0]
    assert figure_svg(numbers(results))
    assert re.search(r"table-format=\d\.2\(", latex(tabulate(results))) is None


@pytest.mark.parametrize("over", ["gamma", ""])
def test_the_figure_is_svg_with_a_panel_a_metric_and_the_same_bytes_again(tmp_path, over):
    methods, values = (GAMMA, VALUES) if over else (ROWS, [(7, 12, 10), None, (6, 11, 9)])
    results = results_of(tmp_path, methods, values, over)
    content = figure_svg(numbers(results))
    axes = set(re.findall(rb'id="axes_\d+"', content))
    assert len(axes) == (4 if over else 3)
    assert content == figure_svg(numbers(results))


def test_a_figure_is_the_same_on_a_processor_that_rounds_otherwise():
    def drawn(height):
        figure = Figure(figsize=(3, 2))
        figure.add_axes((0.1, 0.1, 0.8, height)).plot([0, 1], marker="o")
        return svg_of(figure)

    assert drawn(0.7) == drawn(np.nextafter(0.7, 1))
    assert drawn(0.7) != drawn(0.71)


def test_the_report_shows_figure_findings_and_spread(swept, tmp_path):
    folder = write_report(tabulate(swept), Workspace(tmp_path))
    text = (folder / "table.md").read_text()
    assert (folder / "figure.svg").is_file()
    assert "](figure.svg)" in text
    assert "- DNN: GSIR rises as γ goes from 0 to 0.5" in text
    assert "| DNN (gamma = 0.1) | <u>7.10 ± 0.10</u>" in text
    assert "± is the standard deviation over these trainings" in text
    assert "| DNN (gamma = 0.1) | 7.10 | – | 0.10 | 3 |" in text
    assert " 7.10(10) " in (folder / "table.tex").read_text()
    assert "$\\pm$: deviation over trainings" in (folder / "table.tex").read_text()


def test_nothing_done_yet_has_no_figure(tmp_path):
    results = results_of(tmp_path, ROWS, [None, None, None])
    folder = write_report(tabulate(results), Workspace(tmp_path))
    assert not (folder / "figure.svg").exists()


def test_a_published_figure_that_could_not_be_read_is_said_to_be_missing(tmp_path):
    methods = [{**ROWS[0], "published": {"vocals": {"gnsdr": "not recovered", "gsir": 12.5}}}]
    results = results_of(tmp_path, methods, [(7.0, 12.0, 10.0)])
    tables = tabulate(results)
    assert tables.aggregates["published"].isna().sum() == 2
    assert "| not recovered | 12.50 |" in markdown(tables)
    assert "{not recovered} & 12.50" in latex(tables)
