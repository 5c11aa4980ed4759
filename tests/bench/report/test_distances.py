"""A measure of which less is better, from the scores to every format of the report."""

from __future__ import annotations

import csv

from bench.report.committed import load_committed, load_provenance
from bench.report.formats.markdown import markdown
from bench.report.formats.page import html_page
from bench.report.tabulate import tabulate
from tests.command import bench

EXPERIMENT = """\
title: Distances
why: Which row is nearest?
dataset: synthetic
protocols: [mr_stft, bleed_fullness]
table: {targets: [vocals], rows: ranked}
examples: false
methods:
  - {method: mixture, label: Mixture}
  - {method: ideal_ratio_mask, label: Ideal ratio mask}
  - {method: rpca, label: "RPCA, {mask} mask", sweep: {mask: [soft, binary]}}
  - {method: hpss, label: HPSS}
"""


def test_the_lowest_distance_is_the_best_and_has_its_arrow_and_no_unit(workspace):
    (workspace / "near.yaml").write_text(EXPERIMENT)
    assert bench("run", "near.yaml", "--workers", "0") == 0
    report = workspace / "reports" / "near"
    with (report / "rows.csv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["metric"] == "mr_stft"]
    ranked = {line["row"]: float(line["value"]) for line in lines if line["group"] != "bound"}
    nearest = min(ranked, key=lambda label: ranked[label])
    tables = tabulate(load_committed(report))
    part = tables.parts[0]
    best = [line.row.label for line in part.lines if line.entries["mr_stft"].rank == "best"]
    assert best == [nearest]
    assert next(line.row.label for line in part.lines if line.row.ranked) == nearest
    bound = float(next(line["value"] for line in lines if line["row"] == "Ideal ratio mask"))
    text, page = markdown(tables), html_page(tables, load_provenance(report))
    assert f"{nearest} has the lowest MR-STFT of the vocals, {ranked[nearest]:.2f} (" in page
    assert f"The lowest bound, Ideal ratio mask, is at {bound:.2f}." in page
    for written in (text, page):
        assert "MR-STFT ↓" in written
        assert "Bleedless ↑" in written
        assert " dB" not in written.partition("MR-STFT ↓")[2].partition("Which measure?")[0]
