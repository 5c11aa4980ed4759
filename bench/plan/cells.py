"""From an experiment to its cells, and what makes two cells the same.

A cell is a method with its hyperparameters on the splits of a dataset with a seed. Its
fingerprint is the SHA-256 of the canonical JSON of the method, its VERSION, its hyperparameters,
the seed, the dataset's name and the digests of what the method learns from. The test split and the
protocol are part of the key of the scores instead, so that a new protocol trains nothing again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

import pydantic
from pydantic import ConfigDict

from bench.datasets.dataset import Dataset
from bench.errors import check_known
from bench.methods import registry
from bench.methods.separator import Separator
from bench.plan.experiment import Experiment, MethodEntry
from bench.scoring.protocols import protocol, scores_pitch

#: Method and group of cells of external scores: estimates of another system that were scored here,
#: and scores that were computed elsewhere.
MADE_ELSEWHERE, IMPORTED = "elsewhere", "imported"
#: The groups of cells.
GROUPS = (*registry.GROUPS, MADE_ELSEWHERE, IMPORTED)
#: Properties of a cell that name its files and its training, and depend on its method's class.
IDENTITY = ("fingerprint", "training_key", "separated_digest")


@dataclass(frozen=True)
class Cell:
    """One method configuration on one split with one seed.

    Attributes
    ----------
    row
        Its label in the table.
    method
        As named in the experiment.
    group
        One of `GROUPS`.
    version
        The method's own.
    hyperparameters
        All of them, defaults too, but the seed.
    seed
        None for a method that draws nothing.
    dataset
        Its name.
    digests
        Digests of the parts of the corpus that it depends on, by name: the splits, only ``test``
        for a method that learns nothing; ``train labels`` for one that learns from labels, and
        ``test labels`` where a bound reads them or they are scored against.
    protocols
        Version of each scoring protocol.
    """

    row: str
    method: str
    group: str
    version: int
    hyperparameters: Mapping[str, Any]
    seed: int | None
    dataset: str
    digests: Mapping[str, str]
    protocols: Mapping[str, int]

    @property
    def name(self) -> str:
        """The label of the row, with the seed if there is one."""
        return self.row if self.seed is None else f"{self.row}, seed {self.seed}"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the training depends on, 64 hexadecimal digits."""
        return digest_of(
            {
                "method": self.method,
                "version": self.version,
                "hyperparameters": registry.fingerprint_values(self.method, self.hyperparameters),
                "seed": self.seed,
                "dataset": self.dataset,
                "learnt_from": {
                    part: digest
                    for part, digest in self.digests.items()
                    if not part.startswith("test")
                },
            }
        )

    @cached_property
    def training_key(self) -> str:
        """Digest that is the same for all cells that share one training.

        They differ at most in the row and in `Separator.AFTER_TRAINING`.
        """
        after = registry.after_training(self.method)
        kept = {k: v for k, v in self.hyperparameters.items() if k not in after}
        return dataclasses.replace(self, row="", hyperparameters=kept).fingerprint

    @property
    def training_cell(self) -> Cell:
        """The cell whose training this one uses: `Separator.AFTER_TRAINING` at its defaults.

        That is the cell itself for most cells.
        """
        cls = registry.find_method(self.method)
        kept = {k: v for k, v in self.hyperparameters.items() if k not in cls.AFTER_TRAINING}
        values = registry.make(cls, kept, self.row).hyperparameters()
        same = {k: v for k, v in values.items() if k in self.hyperparameters}
        return (
            self
            if same == self.hyperparameters
            else dataclasses.replace(self, hyperparameters=same)
        )

    @property
    def member_cells(self) -> list[Cell]:
        """The cells that train the members of an ensemble; none for any other cell."""
        cells = []
        for nth, member in enumerate(self.build().members()):
            values = member.hyperparameters()
            seed = values.pop("seed", None)
            same = {k: v for k, v in values.items() if k in self.hyperparameters}
            row = f"{self.row}, member {nth + 1}"
            cells.append(dataclasses.replace(self, row=row, hyperparameters=same, seed=seed))
        return cells

    @property
    def learns(self) -> bool:
        """Whether it depends on training tracks."""
        return "train" in self.digests

    def score_key(self, protocol_name: str) -> str:
        """Return the name of the scores under a protocol: it holds version and test split.

        The labels of the test split are in it where the protocol scores pitch or a bound reads
        them.
        """
        version = self.protocols[protocol_name]
        digest = self._labelled_digest if scores_pitch(protocol_name) else self.separated_digest
        return f"{protocol_name}-v{version}-{digest[:16]}"

    @cached_property
    def separated_digest(self) -> str:
        """Digest of all of the test split on which the estimates depend."""
        reads_labels = registry.reads_test_labels(self.method)
        return self._labelled_digest if reads_labels else self.digests["test"]

    @property
    def _labelled_digest(self) -> str:
        """Digest of the test split with its labels, which cells of older reports do not name."""
        return digest_of([self.digests["test"], self.digests.get("test labels")])

    def identity(self) -> dict[str, str]:
        """Return the values of `IDENTITY` by name."""
        return {name: getattr(self, name) for name in IDENTITY}

    def identified(self, identity: Mapping[str, str]) -> Cell:
        """Return a copy of the cell that has a recorded identity in place of computing it.

        With it the files of a cell are found where the class of its method cannot be imported.

        Parameters
        ----------
        identity
            The result of `identity` in the run that planned the cell.
        """
        cell = dataclasses.replace(self)
        vars(cell).update({name: identity[name] for name in IDENTITY})
        return cell

    def build(self) -> Separator:
        """Return the untrained method."""
        values = dict(self.hyperparameters)
        if self.seed is not None:
            values["seed"] = self.seed
        return registry.make(registry.find_method(self.method), values, self.row)

    def to_json(self) -> dict[str, Any]:
        """Return the cell as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Cell:
        """Return the cell that `to_json` has returned as plain values.

        Raises
        ------
        ValueError
            A field is missing, unknown or of another type, a group or protocol is unknown, or
            there is no protocol or no test split.
        """
        _Fields.model_validate(value)
        cell = cls(**value)
        check_known("group", cell.group, GROUPS)
        for name in cell.protocols:
            protocol(name)
        if not cell.protocols or "test" not in cell.digests:
            raise ValueError(f"{cell.row!r} has no protocol or no test split")
        return cell


_types: dict[str, Any] = {name: (kind, ...) for name, kind in get_type_hints(Cell).items()}
#: The fields of a cell with their types.
_Fields = pydantic.create_model(
    "_Fields", __config__=ConfigDict(strict=True, extra="forbid"), **_types
)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def cells(experiment: Experiment, dataset: Dataset) -> list[Cell]:
    """Return the cells of an experiment, in the order of its file.

    Raises
    ------
    BenchError
        A track of a split that is needed is missing or damaged: all are read and checked here.
    """
    digests: dict[str, str] = {}

    def digest(part: str) -> str:
        if part not in digests:
            digests[part] = dataset.digest(part)
        return digests[part]

    rate = dataset.rate() if experiment.stft else None
    is_pitch_scored = any(scores_pitch(name) for name in experiment.protocols)
    planned = []
    for entry in experiment.methods:
        cls = registry.find_method(entry.method)
        splits = ("train", "dev", "test") if registry.learns(cls) else ("test",)
        needed = {split: digest(split) for split in splits}
        if cls.READS_LABELS and registry.learns(cls):
            needed["train labels"] = digest("train labels")
        if registry.reads_test_labels(entry.method) or is_pitch_scored:
            needed["test labels"] = digest("test labels")
        common = experiment.transform(cls, rate)
        for row, values in entry.variants():
            planned += _variant_cells(experiment, entry, cls, row, {**common, **values}, needed)
    return planned


def _variant_cells(
    experiment: Experiment,
    entry: MethodEntry,
    cls: type[Separator],
    row: str,
    values: Mapping[str, Any],
    digests: Mapping[str, str],
) -> list[Cell]:
    """Return the cells of one row: one a seed, or one for a method that draws nothing."""
    hyperparameters = registry.make(cls, values, row).hyperparameters()
    draws = hyperparameters.pop("seed", None) is not None
    seeds: list[int | None] = [*(entry.seeds or experiment.seeds)] if draws else [None]
    return [
        Cell(
            row=row,
            method=entry.method,
            group=cls.GROUP,
            version=cls.VERSION,
            hyperparameters=hyperparameters,
            seed=seed,
            dataset=experiment.dataset,
            digests=digests,
            protocols={name: protocol(name).version for name in experiment.protocols},
        )
        for seed in seeds
    ]
