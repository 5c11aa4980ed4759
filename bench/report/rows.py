"""The rows of an experiment's tables: what each stands for, and where its scores come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import provenance
from bench.plan.experiment import CHOICES
from bench.store.results import Outcome, Results

#: The titles of groups, in the order of the table.
GROUP_TITLES = {
    "supervised": "Supervised",
    "unsupervised": "Unsupervised",
    "elsewhere": "Made elsewhere",
    "imported": "Imported scores",
    "bound": "Bounds",
}
#: Groups that are never ranked: bounds, and scores that were not computed here.
UNRANKED = ("imported", "bound")
#: Where the scores of a row come from, by group; those of all others are computed here.
_ORIGINS = {"elsewhere": "rescored from audio", "imported": "imported"}


@dataclass(frozen=True)
class Row:
    """A row of a table: its label, its method and the status of its cells.

    Attributes
    ----------
    label, method, group, note, published_note, chosen
        As in the experiment.
    status
        ``done``; ``failed`` or ``missing`` if any of its cells is, with the number of such seeds
        where there are several.
    n_seeds
        Number of its cells; its numbers are means over them, once all are done.
    training_keys
        What was trained with each seed, in the order of the seeds, see
        `bench.plan.cells.Cell.training_key`; empty for a method that does not draw.
    taken
        The reports from which cells of it were taken, each with its commit; see
        `bench.report.reuse`.
    """

    label: str
    method: str
    group: str
    note: str
    status: str
    n_seeds: int
    training_keys: Sequence[str] = ()
    published_note: str = ""
    chosen: str = ""
    taken: Sequence[str] = ()

    @property
    def origin(self) -> str:
        """Where its scores come from."""
        computed = f"taken from {', '.join(self.taken)}" if self.taken else "computed here"
        return _ORIGINS.get(self.group, computed)

    @property
    def constants(self) -> str:
        """How the constants that its method leaves open were chosen; empty where not stated."""
        if not self.chosen or self.chosen in CHOICES:
            return self.chosen
        return f"selected by {self.chosen}"

    @property
    def is_stochastic(self) -> bool:
        """Whether its method draws at random, so that its cells have seeds."""
        return bool(self.training_keys)

    @property
    def has_one_training(self) -> bool:
        """Whether nothing is known of its spread over seeds: it draws, and has one seed."""
        return self.is_stochastic and self.n_seeds == 1

    @property
    def ranked(self) -> bool:
        """Whether it can be the best of a column."""
        return self.group not in UNRANKED


def table_rows(results: Results) -> list[Row]:
    """Return the rows of an experiment in the order of its file, grouped: bounds last."""
    entries = {
        label: entry for entry in results.experiment.methods for label, _ in entry.variants()
    }
    by_row: dict[str, list[Outcome]] = {}
    for outcome in results.outcomes:
        by_row.setdefault(outcome.cell.row, []).append(outcome)
    rows = []
    for label, outcomes in by_row.items():
        cell, n_seeds = outcomes[0].cell, len(outcomes)
        rows.append(
            Row(
                label,
                cell.method,
                cell.group,
                entries[label].note,
                _row_status(outcomes),
                n_seeds,
                _training_keys(outcomes),
                entries[label].published_note,
                entries[label].chosen,
                _taken(outcomes),
            )
        )
    order = list(GROUP_TITLES)
    return sorted(rows, key=lambda row: order.index(row.group))


def _taken(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return the reports from which cells of a row were taken; see `Row.taken`."""
    sources = {
        f"{source.get('report', '?')} ({provenance.short(str(source.get('commit', '')))})"
        for outcome in outcomes
        for facts in outcome.facts.values()
        if (source := facts.get("taken_from")) is not None
    }
    return tuple(sorted(sources))


def _training_keys(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return what was trained with each seed of a row; see `Row.training_keys`."""
    by_seed = {o.cell.seed: o.cell.training_key for o in outcomes if o.cell.seed is not None}
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def rows_with_origin(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the rows whose origin the report states: all rows, or an empty list.

    The list is empty where every score was computed here and no entry states how its constants were
    chosen.
    """
    plain = all(row.origin == "computed here" and not row.chosen for row in rows)
    return [] if plain else rows


def _row_status(outcomes: Sequence[Outcome]) -> str:
    """Return the worst status of a row's cells, and how many of several have it."""
    statuses = [str(outcome.status) for outcome in outcomes]
    worst = max(statuses, key=["done", "missing", "failed"].index)
    if worst == "done" or len(statuses) == 1:
        return worst
    return f"{worst}: {statuses.count(worst)} of {len(statuses)} seeds"


def is_tested(row: Row, best: Row) -> bool:
    """Return whether a row is tested against the best.

    No bound is, and no row of one training where the best has one training too.
    """
    by_chance = best.has_one_training and row.has_one_training
    return row is not best and row.group != "bound" and not by_chance
