from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from bench.datasets.synthetic import Synthetic
from bench.plan.cells import Cell, cells
from bench.plan.experiment import Experiment


@pytest.fixture(scope="module")
def planned():
    methods = [
        {"method": "mixture", "label": "Mixture"},
        {"method": "drnn", "label": "DNN", "fixed": {"recurrent": "none"}},
    ]
    experiment = Experiment(
        name="x", title="t", why="w", dataset="synthetic", seeds=[0, 1], methods=methods
    )
    return cells(experiment, Synthetic())


def test_a_method_that_draws_runs_once_a_seed_and_another_once(planned):
    assert [(c.row, c.seed) for c in planned] == [("Mixture", None), ("DNN", 0), ("DNN", 1)]
    assert set(planned[0].digests) == {"test"}
    assert set(planned[1].digests) == {"train", "dev", "test"}


def test_all_hyperparameters_are_in_a_cell_defaults_too(planned):
    assert planned[1].hyperparameters["hidden"] == 1000
    assert "seed" not in planned[1].hyperparameters


@pytest.mark.parametrize(
    "change",
    [
        {"method": "nmf"},
        {"version": 99},
        {"seed": 7},
        {"dataset": "mir1k"},
        {"hyperparameters": {"hidden": 3}},
        {"digests": {"train": "a", "dev": "b", "test": "c"}},
    ],
)
def test_whatever_was_learnt_depends_on_is_in_the_fingerprint(planned, change):
    assert replace(planned[1], **change).fingerprint != planned[1].fingerprint


def test_neither_label_nor_protocol_nor_test_split_is_in_the_fingerprint_of_what_was_learnt(
    planned,
):
    cell = planned[1]
    other = replace(
        cell, row="another", protocols={"new": 1}, digests={**cell.digests, "test": "other"}
    )
    assert other.fingerprint == cell.fingerprint


def test_protocol_its_version_and_the_test_split_are_in_the_key_of_scores(planned):
    cell = planned[1]
    version = cell.protocols["bss_eval_v3"]
    keys = {
        cell.score_key("bss_eval_v3"),
        replace(cell, protocols={"bss_eval_v3": version + 1}).score_key("bss_eval_v3"),
        replace(cell, digests={**cell.digests, "test": "x" * 64}).score_key("bss_eval_v3"),
    }
    assert len(keys) == 3


class Relabelled(Synthetic):
    """The synthetic corpus with labels of pitch, of which one can be changed."""

    def __init__(self, changed: str = "") -> None:
        super().__init__()
        self.changed = changed

    def label_fingerprint(self, name: str) -> str:
        return "another" if name == self.changed else "first"


def test_a_changed_label_of_a_test_track_changes_the_scores_that_depend_on_labels_and_no_others():
    methods = [
        {"method": "mixture", "label": "Mixture"},
        {"method": "pitch_oracle", "label": "Comb at the labels"},
        {"method": "hsu_jang", "label": "Learns from labels"},
    ]
    experiment = Experiment(
        name="x",
        title="t",
        why="w",
        dataset="synthetic",
        protocols=["bss_eval_v3", "melody"],
        methods=methods,
    )
    changed = Synthetic().names("test")[0]
    before, after = cells(experiment, Relabelled()), cells(experiment, Relabelled(changed))
    keys = [
        [cell.score_key(name) == other.score_key(name) for name in cell.protocols]
        for cell, other in zip(before, after, strict=True)
    ]
    assert keys == [[True, False], [False, False], [True, False]]
    assert [cell.fingerprint for cell in before] == [cell.fingerprint for cell in after]
    separated = [
        cell.separated_digest == other.separated_digest
        for cell, other in zip(before, after, strict=True)
    ]
    assert separated == [True, False, True]
    other_audio = replace(before[1], digests={**before[1].digests, "test": "other"})
    assert all(
        other_audio.score_key(name) != before[1].score_key(name) for name in before[1].protocols
    )


def test_a_changed_label_of_a_training_track_changes_what_is_learnt_from_labels_alone():
    methods = [
        {"method": "nmf", "label": "NMF"},
        {"method": "hsu_jang", "label": "Learns from labels"},
    ]
    experiment = Experiment(name="x", title="t", why="w", dataset="synthetic", methods=methods)
    changed = Synthetic().names("train")[0]
    before, after = cells(experiment, Relabelled()), cells(experiment, Relabelled(changed))
    same = [a.fingerprint == b.fingerprint for a, b in zip(before, after, strict=True)]
    assert same == [True, False]


def test_a_cell_comes_back_from_json(planned):
    for cell in planned:
        read_back = Cell.from_json(json.loads(json.dumps(cell.to_json())))
        assert read_back == cell
        assert read_back.fingerprint == cell.fingerprint


def test_a_recorded_identity_stands_for_that_of_a_method_that_cannot_be_imported(planned):
    cell = planned[1]
    absent = replace(cell, method="absent_method:Absent")
    identified = absent.identified(cell.identity() | {"row": "another"})
    assert identified == absent
    assert identified.identity() == cell.identity() != absent.identity()


def test_cells_that_differ_in_separation_alone_share_one_training(planned):
    cell = planned[1]
    binary = replace(cell, hyperparameters={**cell.hyperparameters, "test_mask": "binary"})
    wider = replace(cell, hyperparameters={**cell.hyperparameters, "hidden": 2000})
    assert binary.fingerprint != cell.fingerprint
    assert binary.training_cell.fingerprint == cell.fingerprint
    assert cell.training_cell is cell
    assert wider.training_cell is wider
    assert planned[0].training_cell is planned[0]


def test_the_members_of_an_ensemble_are_cells_of_their_own(planned):
    cell = planned[1]
    pair = replace(cell, hyperparameters={**cell.hyperparameters, "ensemble": 2})
    assert [member.seed for member in pair.member_cells] == [0, 1]
    assert pair.member_cells[0].fingerprint == cell.fingerprint
    assert pair.member_cells[1].fingerprint == replace(cell, seed=1).fingerprint
    assert pair.fingerprint != cell.fingerprint
    assert cell.member_cells == planned[0].member_cells == []


def test_a_method_may_have_seeds_of_its_own():
    methods = [
        {"method": "drnn", "label": "Five", "seeds": [0, 1, 2, 3, 4]},
        {"method": "drnn", "label": "As all", "fixed": {"gamma": 0.05}},
        {"method": "mixture", "label": "Mixture", "seeds": [1, 2]},
    ]
    experiment = Experiment(
        name="x", title="t", why="w", dataset="synthetic", seeds=[0, 1], methods=methods
    )
    rows = Counter(cell.row for cell in cells(experiment, Synthetic()))
    assert rows == {"Five": 5, "As all": 2, "Mixture": 1}
