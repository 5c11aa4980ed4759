from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import cells
from bench.plan.experiment import Experiment
from bench.report import reproduction
from bench.report.committed import load_committed
from bench.report.reproduction import compare
from bench.store.results import TEXTS, Outcome, Results

REPORTS = Path(__file__).resolve().parents[3] / "reports"
EXPERIMENT = Experiment(
    name="x",
    title="t",
    why="w",
    dataset="synthetic",
    seeds=[0, 1, 2],
    methods=[
        {"method": "repet", "label": "REPET"},
        {"method": "drnn", "label": "DNN", "fixed": {"recurrent": "none"}},
    ],
)


def outcome(cell, shift_db=0.0) -> Outcome:
    """Return an outcome whose scores are 5 dB, plus 0.1 dB a seed, plus a shift."""
    metrics = ["nsdr", "sdr", "sir", "sar"]
    value = 5.0 + 0.1 * (cell.seed or 0) + shift_db
    n = 2 * len(metrics)
    table = pa.table(
        {
            "track": ["a"] * len(metrics) + ["b"] * len(metrics),
            "target": ["vocals"] * n,
            "protocol": ["bss_eval_v3"] * n,
            "metric": metrics * 2,
            "window": [-1] * n,
            "value": np.full(n, value),
            "n_samples": [16_000] * n,
        }
    )
    for i, name in enumerate(table.column_names):
        if name in TEXTS:
            table = table.set_column(i, name, table[name].dictionary_encode())
    return Outcome(cell, "done", scores={"bss_eval_v3": table})


@pytest.fixture(scope="module")
def planned():
    return cells(EXPERIMENT, Synthetic())


@pytest.fixture(scope="module")
def report(planned) -> Results:
    return Results(EXPERIMENT, {}, [outcome(cell) for cell in planned])


@pytest.mark.parametrize(
    ("shift_db", "verdict"),
    [
        (0.0, "same to the bit"),
        (1e-9, "same but for rounding"),
        (0.005, "same but for another processor's rounding"),
        (0.02, "not reproduced: a score of one track differs by 0.02 dB"),
    ],
)
def test_a_row_that_learns_nothing_may_differ_by_rounding_alone(report, planned, shift_db, verdict):
    (row,) = compare(report, [outcome(planned[0], shift_db)])
    assert row.verdict.startswith(verdict)
    assert row.is_reproduced == (shift_db < 0.02)
    assert row.largest == pytest.approx(shift_db, rel=1e-3, abs=1e-15)


def test_a_trained_row_may_differ_by_what_its_seeds_do(report, planned):
    """Its standard deviation over three seeds is 0.1 dB: three of them, times sqrt(2/3)."""
    trained = planned[1:]
    for shift_db, is_reproduced in ((0.24, True), (0.25, False)):
        (row,) = compare(report, [outcome(cell, shift_db) for cell in trained])
        assert row.is_reproduced == is_reproduced
        assert set(row.means["allowed"].round(4)) == {0.2449}
    (one_seed,) = compare(report, [outcome(trained[0], 0.1)])
    assert set(one_seed.means["allowed"].round(4)) == {0.3464}
    assert one_seed.verdict == "reproduced within the spread over trainings"


def test_other_rows_that_the_trainings_would_do_for_are_named(planned):
    """The allowance is 0.24 dB: a second row is 0.1 dB away, a third 9 dB."""
    near, far = (
        [dataclasses.replace(cell, row=name) for cell in planned[1:]] for name in ("Near", "Far")
    )
    outcomes = [outcome(cell) for cell in planned]
    outcomes += [outcome(cell, 0.1) for cell in near] + [outcome(cell, 9.0) for cell in far]
    report = Results(EXPERIMENT, {}, outcomes)
    (row,) = compare(report, [outcome(cell, 0.05) for cell in planned[1:]])
    assert row.is_reproduced
    assert row.verdict == (
        "reproduced within the spread over trainings, which does not tell it from Near"
    )


def test_a_report_of_one_seed_is_judged_by_the_committed_spread(planned):
    report = Results(EXPERIMENT, {}, [outcome(cell) for cell in planned[:2]])
    allowed = {name: 3 * sd * 2**0.5 for name, sd in reproduction.TRAINING_SD_DB.items()}
    (row,) = compare(report, [outcome(planned[1], allowed["gsar"] - 0.01)])
    assert row.is_reproduced
    assert dict(zip(row.means["metric"], row.means["allowed"], strict=True)) == allowed
    (row,) = compare(report, [outcome(planned[1], allowed["gsar"] + 0.01)])
    assert row.verdict.startswith("not reproduced: vocals GSAR")


def test_a_failed_cell_or_an_infinite_score_is_not_reproduced(report, planned):
    failed = dataclasses.replace(outcome(planned[0]), status="failed", error="no memory")
    (row,) = compare(report, [failed])
    assert (row.is_reproduced, row.verdict) == (False, "failed: no memory")
    (row,) = compare(report, [outcome(planned[0], np.inf)])
    assert not row.is_reproduced
    assert row.largest == np.inf


def test_a_row_without_a_measure_that_has_a_spread_is_not_reproduced(planned):
    def in_other_units(cell, shift=0.0):
        table = outcome(cell, shift).scores["bss_eval_v3"]
        names = pa.array(["mr_stft"] * len(table)).dictionary_encode()
        protocols = pa.array(["mr_stft"] * len(table)).dictionary_encode()
        for name, column in (("metric", names), ("protocol", protocols)):
            table = table.set_column(table.column_names.index(name), name, column)
        table = table.slice(0, 1)
        return Outcome(cell, "done", scores={"mr_stft": table})

    report = Results(EXPERIMENT, {}, [in_other_units(planned[1])])
    (row,) = compare(report, [in_other_units(planned[1], 3.0)])
    assert (row.is_reproduced, row.verdict) == (
        False,
        "not reproduced: the report has no spread over trainings to compare with",
    )


def test_the_spread_of_trainings_is_that_of_the_committed_report():
    results = load_committed(REPORTS / "paper_table2")
    spread = reproduction._training_sd(reproduction._seed_means(results.scores))
    assert dict(spread["vocals"]["bss_eval_v3"]) == pytest.approx(
        reproduction.TRAINING_SD_DB, abs=0.005
    )


def test_a_failed_row_of_the_report_is_no_row_that_the_trainings_would_do_for(planned):
    lost = [dataclasses.replace(cell, row="Lost") for cell in planned[1:]]
    outcomes = [outcome(cell) for cell in planned]
    outcomes += [Outcome(cell, "failed", error="no memory") for cell in lost]
    (row,) = compare(
        Results(EXPERIMENT, {}, outcomes), [outcome(cell, 0.05) for cell in planned[1:]]
    )
    assert row.verdict == "reproduced within the spread over trainings"
