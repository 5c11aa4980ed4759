"""The files of a report: its rows, its scores, and the table in each of its formats."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bench import provenance
from bench.plan.cells import Cell
from bench.plan.experiment import Experiment
from bench.report.aggregates import COLUMNS
from bench.report.committed import load_committed
from bench.report.formats.latex import escape_latex, latex
from bench.report.formats.markdown import escape_markdown, markdown
from bench.report.numbers import rounded
from bench.report.tabulate import read_parts, tabulate
from bench.report.write import is_current, write_report
from bench.store.cell_folder import CellFolder
from bench.store.results import SCHEMA_VERSION, Results, read_outcome
from bench.store.workspace import Workspace
from bench.track import TARGETS
from tests.command import ROOT

# By row: group, and the NSDR of two tracks of 1 and 3 seconds.
VALUES = {
    "Good & | <b>": ("supervised", {0: [7.0, 8.0], 1: [9.0, 10.0]}),
    "Close": ("unsupervised", {None: [8.501, 8.501]}),
    "Undefined": ("unsupervised", {None: [np.nan, 1.0]}),
    "Failed": ("unsupervised", {None: "failed"}),
    "Missing": ("unsupervised", {None: "missing"}),
    "NA": ("unsupervised", {None: [2.0, 1.0]}),
    "Ideal": ("bound", {None: [np.inf, np.inf]}),
}


def scores(values):
    rows = []
    for track, value, n in zip("ab", values, (16_000, 48_000), strict=True):
        for target in TARGETS:
            for metric in ("nsdr", "sdr", "sir", "sar"):
                shift = {"sdr": 0.5, "sir": 1.0, "sar": 2.0}.get(metric, 0.0)
                sign = 1 if target == "vocals" else -1
                rows.append((track, target, "bss_eval_v3", metric, -1, sign * (value + shift), n))
    columns = ["track", "target", "protocol", "metric", "window", "value", "n_samples"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def results(tmp_path):
    outcomes, entries = [], []
    for label, (group, seeds) in VALUES.items():
        entry = {"method": "mixture", "label": label, "note": f"about {label}"}
        if label.startswith("Good"):
            entry["published"] = {"vocals": {"gnsdr": 7.5}}
        entries.append(entry)
        for seed, values in seeds.items():
            digests = {"test": "d" * 64}
            version = {"bss_eval_v3": 1}
            cell = Cell(label, label, group, 1, {}, seed, "synthetic", digests, version)
            folder = CellFolder(tmp_path / "runs", cell)
            folder.begin()
            if values == "failed":
                folder.write_state("failed", error="BenchError: out of luck")
            elif values != "missing":
                folder.write_scores("bss_eval_v3", scores(values), {"n_tracks": 2})
            outcomes.append(read_outcome(folder, "x"))
    experiment = Experiment(
        name="x", title="A title", why="Why.", dataset="synthetic", seeds=[0, 1], methods=entries
    )
    corpus = {"title": "Corpus", "citation": "Somebody.", "licence": "free", "n_test": 2,
              "n_full": 825}  # fmt: skip
    return Results(experiment, corpus, outcomes)


def value(lines, row, metric="gnsdr", target="vocals", column="value"):
    chosen = lines[(lines.row == row) & (lines.metric == metric) & (lines.target == target)]
    return chosen[column].item()


def test_rows_hold_the_mean_over_seeds_of_length_weighted_means(results):
    lines = tabulate(results).aggregates
    assert list(lines.columns) == COLUMNS
    good = "Good & | <b>"
    assert value(lines, good) == pytest.approx((7.75 + 9.75) / 2)
    assert value(lines, good, "gsir") == pytest.approx(8.75 + 1)
    assert value(lines, good, "gsar") == pytest.approx(8.75 + 2)
    assert value(lines, good, target="accompaniment") == pytest.approx(-8.75)
    assert value(lines, good, column="n_tracks") == 2
    assert value(lines, good, column="published") == 7.5
    assert np.isnan(value(lines, "Close", column="published"))


def test_undefined_scores_are_counted_and_missing_cells_are_never_averaged_away(results):
    lines = tabulate(results).aggregates
    assert value(lines, "Undefined") == 1.0
    assert value(lines, "Undefined", column="n_undefined") == 1
    for row in ("Failed", "Missing"):
        assert np.isnan(value(lines, row))
        assert value(lines, row, column="n_tracks") == 0


def cells_of(text, row):
    (line,) = [part for part in text.splitlines() if part.startswith(f"| {row}")][:1]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_best_among_methods_is_bold_and_bounds_are_apart_and_unranked(results):
    text = markdown(tabulate(results))
    assert cells_of(text, "Good")[1] == "**8.75 ± 1.41** <sub>[8.00, 9.00]</sub>"  # 7.75 and 9.75
    assert cells_of(text, "Close")[1] == "<u>8.50</u> <sub>[8.50, 8.50]</sub>"
    assert cells_of(text, "Ideal")[1] == "∞"
    order = [text.index(w) for w in ("*Supervised*", "*Unsupervised*", "*Bounds*", "| Ideal")]
    assert order == sorted(order)


def test_failed_missing_and_undefined_appear_as_such(results):
    text = markdown(tabulate(results))
    assert cells_of(text, "Failed")[1] == "failed"
    assert cells_of(text, "Missing")[1] == "missing"
    assert "2 (1 undefined)" in cells_of(text, "Undefined")
    assert "Failed failed: BenchError: out of luck" in text
    assert "2 of 825 test tracks" in text
    tex = latex(tabulate(results))
    assert "Failed & {failed}" in tex
    assert "$\\infty$" in tex


def test_every_row_of_a_table_has_every_column(results):
    # Published values have columns only where there are any: here beside the vocals.
    text = markdown(tabulate(results)).split("## ")
    for part, bars in ((text[1], 7), (text[2], 6)):
        table = part.split("\n\n| method | GNSDR | 95 %")[0]  # the table of spreads comes after
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {bars}
    tex = latex(tabulate(results)).split("\\begin{table")
    for part, signs in ((tex[1], 4), (tex[2], 3)):
        lines = [t for t in part.splitlines() if t.endswith("\\\\")]
        lines = [t for t in lines if "multicolumn" not in t]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {signs}


def test_no_label_escapes_from_its_cell(results):
    text = markdown(tabulate(results))
    assert "| Good &amp; \\| &lt;b&gt; |" in text
    assert "Good \\& \\textbar{} \\textless{}b\\textgreater{} &" in latex(tabulate(results))
    assert escape_markdown("a\nb [x](y)") == "a b \\[x\\](y)"
    assert escape_latex("50%_\\input{x}") == "50\\%\\_\\textbackslash{}input\\{x\\}"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (9.999, "10.00"),
        (9.994, "9.99"),
        (-0.004, "0.00"),
        (-1.5, "−1.50"),
        (2.675001, "2.68"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (np.nan, "undefined"),
    ],
)
def test_a_number_is_rounded_once_and_to_the_nearest(raw, shown):
    assert rounded(raw) == shown


def test_the_folder_holds_the_same_numbers_in_every_format(results, tmp_path):
    folder = write_report(tabulate(results), Workspace(tmp_path))
    assert sorted(p.name for p in folder.iterdir()) == [
        "index.html",
        "provenance.json",
        "rows.csv",
        "scores.parquet",
        "table.md",
        "table.tex",
        "table_intervals.tex",
    ]
    lines = pd.read_csv(folder / "rows.csv", keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(lines, tabulate(results).aggregates, check_dtype=False)
    parquet = pq.read_table(folder / "scores.parquet")
    assert parquet.schema.metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()
    scores = parquet.to_pandas()
    good = scores.query("row == 'Close' and metric == 'nsdr' and target == 'vocals'")
    assert np.average(good["value"], weights=good["n_samples"]) == value(lines, "Close")
    provenance = json.loads((folder / "provenance.json").read_text())
    assert len(provenance["cells"]) == len(results.outcomes)
    for file in ("table.md", "table.tex", "table_intervals.tex"):
        assert "8.75" in (folder / file).read_text()


ARTICLE = r"""
\documentclass[twocolumn]{article}
\usepackage{booktabs,siunitx}
\begin{document}
Tables~\ref{tab:x-vocals} and~\ref{tab:x-accompaniment}.
\input{table}
\input{table_intervals}
\end{document}
"""


def test_the_tables_fit_an_article_of_two_columns(results, tmp_path):
    """A label of markup, numbers that are undefined or infinite, and rows without any."""
    kpsewhich = shutil.which("kpsewhich")
    if not kpsewhich or subprocess.run([kpsewhich, "siunitx.sty"], check=False).returncode:
        pytest.skip("needs LaTeX with siunitx: apt-get install texlive-science")
    folder = write_report(tabulate(results), Workspace(tmp_path))
    text = (folder / "table_intervals.tex").read_text().replace("\\label{", "\\label{i-")
    (folder / "table_intervals.tex").write_text(text)
    (folder / "article.tex").write_text(ARTICLE)
    for _ in range(2):  # the second time the references are known
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article.tex"],  # noqa: S607
            cwd=folder, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "undefined" not in done.stdout.replace("undefined}", "")


GRID = [
    {"method": "drnn", "label": "DNN", "sweep": {"gamma": [0.0, 0.05]}},
    {"method": "drnn", "label": "DRNN-2", "fixed": {"recurrent": 2}, "sweep": {"gamma": [0, 0.05]}},
]


def grid_results(tmp_path, protocols=("bss_eval_v3",), differ=(), published=None):
    """Return results of a grid of two networks and two γ under one or several protocols."""
    methods = [dict(entry) for entry in GRID]
    if published:
        methods[0]["published"] = {"vocals": {"gnsdr": published}}
    experiment = Experiment(
        name="x", title="A title", why="Why.", dataset="synthetic", methods=methods,
        protocols=list(protocols), figure={"over": "gamma", "symbol": "γ"},
        table={"targets": ["vocals"], "pivot": {"rows": "label", "columns": "gamma"}},
    )  # fmt: skip
    outcomes = []
    for entry in experiment.methods:
        for n, (label, values) in enumerate(entry.variants()):
            hyperparameters = {"recurrent": "none", "gamma": 0.0, **values}
            versions = dict.fromkeys(protocols, 1)
            cell = Cell(label, "drnn", "supervised", 1, hyperparameters, 0, "synthetic",
                        {"test": "d" * 64}, versions)  # fmt: skip
            folder = CellFolder(tmp_path / "runs", cell)
            folder.begin()
            for protocol in protocols:
                frame = scores([6.0 + n, 7.0]).query("target == 'vocals'")
                names = {"nsdr": "isr"} if protocol != "bss_eval_v3" else {}
                frame = frame.assign(protocol=protocol, metric=frame["metric"].replace(names))
                frame["value"] += 0.5 * (protocol in differ)
                folder.write_scores(protocol, frame, {"n_tracks": 2})
            outcomes.append(read_outcome(folder, "x"))
    corpus = {"title": "Corpus", "citation": "Somebody.", "licence": "free", "n_test": 2,
              "n_full": 2}  # fmt: skip
    return Results(experiment, corpus, outcomes)


def test_what_a_grid_shows_is_not_listed_again(tmp_path):
    tables = tabulate(grid_results(tmp_path / "a"))
    (part,) = tables.parts
    assert part.listed == []
    text = markdown(tables)
    assert "| GNSDR ↑: method | γ = 0 | γ = 0.05 |" in text
    assert "| method | GNSDR ↑ |" not in text
    labels = re.findall(r"\\label\{(.*)\}", latex(tables))
    assert labels == ["tab:x-vocals-gnsdr", "tab:x-vocals-gsir", "tab:x-vocals-gsar"]
    shown = tabulate(grid_results(tmp_path / "b", published=7.0))
    assert "published GNSDR" in markdown(shown)  # which no grid has


def test_protocols_that_agree_in_every_figure_are_one_table(tmp_path):
    protocols = ("bss_eval_v4", "museval")
    same = tabulate(grid_results(tmp_path / "a", protocols))
    assert [part.title for part in same.parts] == ["Vocals, bss_eval_v4 and museval"]
    assert same.parts[0].caption.endswith("; museval gives the same values")
    assert set(same.aggregates["protocol"]) == set(protocols)  # rows.csv keeps both
    other = tabulate(grid_results(tmp_path / "b", protocols, differ=("museval",)))
    assert [part.title for part in other.parts] == ["Vocals, bss_eval_v4", "Vocals, museval"]
    labels = re.findall(r"\\label\{(.*)\}", latex(other))
    assert len(set(labels)) == 8
    assert labels[-1] == "tab:x-vocals-museval-sar"


def test_a_report_of_nothing_yet_says_missing(results):
    empty = Results(results.experiment, results.corpus, results.outcomes[4:6])
    tables = tabulate(empty)
    lines = tables.aggregates
    assert lines["value"].isna().all()
    text = markdown(tables)
    first, second = (row.label for row in tables.rows if row.status != "done")
    assert {cells_of(text, label)[1] for label in (first, second)} == {"failed", "missing"}


@pytest.mark.parametrize("stamp", [40 * "a", f"{40 * 'a'}-dirty", "unknown"])
def test_a_report_is_kept_only_where_this_code_wrote_it_whole(
    results, tmp_path, monkeypatch, stamp
):
    monkeypatch.setattr(provenance, "commit", lambda: stamp)
    monkeypatch.setattr(provenance, "code_digest", lambda: "before")
    workspace = Workspace(tmp_path)
    assert not is_current(results, workspace)
    folder = write_report(tabulate(results), workspace)
    assert is_current(results, workspace)
    monkeypatch.setattr(provenance, "code_digest", lambda: "after")
    assert is_current(results, workspace) == (stamp == 40 * "a")
    monkeypatch.setattr(provenance, "code_digest", lambda: "before")
    later = (folder / "provenance.json").stat().st_mtime + 10
    table = folder / "table.md"
    table.write_text("cut")
    os.utime(table, (later, later))
    assert not is_current(results, workspace)
    write_report(tabulate(results), workspace)
    table.unlink()
    assert not is_current(results, workspace)


def contents(parts):
    return [
        (part.title, part.caption, part.unit, line.row.label, line.tracks, line.starts_group, entry)
        for part in parts
        for line in part.lines
        for entry in (repr(list(line.entries.values())),)  # NaN is not equal to itself
    ]


def test_the_tables_of_a_current_report_are_read_from_its_rows(results, tmp_path):
    folder = write_report(tabulate(results), Workspace(tmp_path))
    assert contents(read_parts(results, folder)) == contents(tabulate(results).parts)


@pytest.mark.parametrize("name", ["paper_table3", "ablation_gamma", "musdb18", "paper_table2"])
def test_the_tables_of_a_committed_report_are_those_of_its_scores(name):
    folder = ROOT / "reports" / name
    results = load_committed(folder)
    assert contents(read_parts(results, folder)) == contents(tabulate(results).parts)
