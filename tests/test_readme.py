"""The table in README is that of the committed report."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bench.report.numbers import rounded

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_in_the_readme_is_that_of_the_committed_report():
    rows = pd.read_csv(ROOT / "reports" / "paper_table3" / "rows.csv")
    rows = rows[rows["target"] == "vocals"].set_index(["row", "metric"])
    checked = 0
    for line in (ROOT / "README.md").read_text().splitlines():
        cells = [cell.strip().replace("*", "") for cell in line.split("|")[1:-1]]
        if len(cells) != 7 or not re.match(r"−?\d", cells[1]):
            continue
        label = cells[0].removeprefix("bound:").strip()
        label = label[0].upper() + label[1:]
        for metric, ours, published in zip(
            ("gnsdr", "gsir", "gsar"), cells[1:4], cells[4:], strict=True
        ):
            row = rows.loc[(label, metric)]
            assert ours == rounded(row["value"])
            assert published == ("–" if pd.isna(row["published"]) else rounded(row["published"]))
        checked += 1
    labels = set(rows.index.get_level_values("row"))
    assert checked == len(labels - {"Mixture"})  # whose gains are 0 by definition
