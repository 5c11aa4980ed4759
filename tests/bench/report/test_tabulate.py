"""The numbers of a report are computed once and are the same in every format."""

from __future__ import annotations

from pathlib import Path

from bench.report import aggregates
from tests.command import bench


def test_a_run_computes_each_interval_once_for_all_formats_and_the_terminal(workspace, monkeypatch):
    calls = []
    compute = aggregates.bootstrap_interval

    def counted(*arguments):
        calls.append(arguments)
        return compute(*arguments)

    monkeypatch.setattr(aggregates, "bootstrap_interval", counted)
    Path("two.yaml").write_text(
        "title: T\nwhy: W.\ndataset: synthetic\nexamples: false\ntable: {targets: [vocals]}\n"
        "methods:\n  - {method: mixture, label: Mixture}\n  - {method: repet, label: REPET}\n"
    )
    assert bench("run", "two.yaml", "--workers", "0") == 0
    n_metrics = 3
    assert len(calls) == 2 * n_metrics
