"""The notes under the tables of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench import provenance
from bench.plan.cells import IMPORTED, MADE_ELSEWHERE
from bench.report.aggregates import best_label, column_of
from bench.report.numbers import unit_of
from bench.report.rows import UNRANKED, Row, is_tested
from bench.report.statistics import ALPHA, least_p_value
from bench.report.table import CLOSE, SET_APART
from bench.report.tabulate import ReportTables
from bench.scoring.aggregate import metric_name
from bench.store.results import Results


def notes(tables: ReportTables) -> list[str]:
    """Return the notes, one a line, unescaped."""
    results, rows = tables.results, tables.rows
    lines = [
        "The best value of a column is bold, the second underlined. Bounds (the mixture, and what "
        "is made from the true sources or from labels) and imported scores are not ranked.",
        f"In brackets: the 95 % interval of a value by the bootstrap over {_units(tables)}. It "
        f"shows what another choice of {_units(tables)} would change, not what another training "
        "would.",
        _mark(tables),
    ]
    lines += _about_groups(tables)
    lines += _unmarked(tables)
    if results.overrides:
        lines.append(f"Run with changes of its file: -o {' -o '.join(results.overrides)}")
    lines += _trainings(rows)
    if any(part.published_metrics for part in tables.parts):
        lines.append(f"Published values: {results.experiment.published_source or 'not stated.'}")
    lines += [
        f"{SET_APART} {row.label}, published values: {row.published_note}"
        for row in rows
        if row.published_note
    ]
    lines += [f"{row.label}: {row.note}" for row in rows if row.note]
    lines += _failures(results)
    lines += [_unfinished(row) for row in rows if row.status.startswith("missing")]
    lines.append(f"Data: {results.corpus['citation']} Licence: {results.corpus['licence']}.")
    return lines


def _mark(tables: ReportTables) -> str:
    """Return what the mark of a row that is not told apart from the best says."""
    unit = _units(tables)
    text = f"{CLOSE}: not told apart from the best of its column by {unit}"
    by_songs = f"Wilcoxon's signed-rank test, paired by {unit[:-1]}"
    adjusted = (
        "p-values adjusted by Holm for the number of rows that are compared with the best, level "
        f"{ALPHA}"
    )
    if tables.aggregates["p_best_trainings"].isna().all():
        return f"{text} ({by_songs}; {adjusted})."
    return (
        f"{text} or by trainings. By {unit}: {by_songs}. By trainings: Welch's t-test of the "
        "values of the trainings, or Student's of their differences where two rows separate by the "
        f"same networks. Each with {adjusted}. With few trainings a row the second test is weak: "
        "what it does not tell apart need not be equal."
    )


def _trainings(rows: Sequence[Row]) -> list[str]:
    """Return a note on the number of trainings a row, and one on rows of a single training."""
    numbers = sorted({row.n_seeds for row in rows if row.is_stochastic and row.n_seeds > 1})
    singles = [row.label for row in rows if row.has_one_training]
    lines = []
    if numbers:
        lines.append(
            f"Rows of methods that draw at random are means over {' or '.join(map(str, numbers))} "
            "trainings, one a seed. "
            "± is the standard deviation over these trainings, on the same tracks."
        )
    if not singles:
        return lines
    text = "Rows of methods that draw at random were computed once"
    if numbers:
        text = f"Computed once: {', '.join(singles)}"
    text += ", so that the spread over trainings is not known"
    if len(singles) > 1:
        text += "; no two of them are tested against each other"
    lines.append(f"{text}.")
    return lines


def provenance_warning(results: Results) -> str:
    """Return what a reader must know first of where the numbers come from; empty where nothing.

    A report is one that can be repeated where all of its cells come from one commit.
    """
    commits: dict[str, set[str]] = {}
    for outcome in results.outcomes:
        captured = [c for facts in outcome.facts.values() for c in provenance.all_captured(facts)]
        stamps = {str(each.get("commit", "")) for each in captured} - {""}
        if outcome.status == "done" and stamps:
            commits.setdefault(outcome.cell.row, set()).update(stamps)
    distinct = {stamp.removesuffix("-dirty") for stamps in commits.values() for stamp in stamps}
    n_dirty = sum(any(map(provenance.has_changes, stamps)) for stamps in commits.values())
    problems = []
    if len(distinct) > 1:
        problems.append(f"its rows were computed at {len(distinct)} commits")
    if n_dirty:
        words = "was" if n_dirty == 1 else "were"
        problems.append(
            f"{n_dirty} of {len(commits)} rows {words} computed by code with uncommitted changes"
        )
    if not problems:
        return ""
    return f"This report does not come from one clean commit: {', and '.join(problems)}."


def _units(tables: ReportTables) -> str:
    """Return what intervals and tests are over: songs, or tracks where each track is a song."""
    return tables.parts[0].unit


def _about_groups(tables: ReportTables) -> list[str]:
    """Return how alike the scores of a song are, and what this test set can show."""
    facts = next(iter(tables.groups.values()))
    name, lines = metric_name(facts.metric), []
    if facts.unit == "songs":
        text = f"The {facts.n_tracks} tracks are of {facts.n_songs} songs"
        if facts.n_singers:
            text += f" by {facts.n_singers} singer{'s' if facts.n_singers > 1 else ''}"
        if not math.isnan(facts.song_correlation):
            text += (
                f". Scores within a song correlate by {facts.song_correlation:.2f} ({name}, median "
                "over the ranked rows), so that the variance of a mean is "
                f"{facts.design_effect:.2f} times that of as many independent tracks (design "
                "effect)"
            )
        if not math.isnan(facts.singer_correlation):
            text += f"; within a singer they correlate by {facts.singer_correlation:.2f}"
        lines.append(f"{text}.")
    lines += _about_singers(tables)
    if not math.isnan(facts.least_difference):
        lines.append(
            f"By {facts.unit} alone, a row must be about {facts.least_difference:.2f}"
            f"{unit_of(facts.metric)} of {name} away from the best (median over the ranked rows) "
            "to be told apart from it in 4 of 5 such test sets, by one comparison without Holm's "
            "adjustment. The spread over trainings comes on top."
        )
    return lines


def _about_singers(tables: ReportTables) -> list[str]:
    """Return how the intervals over singers are read."""
    (protocol, target), facts = next(iter(tables.groups.items()))
    column = column_of(tables.aggregates, protocol, target, facts.metric)
    column = column[~column["group"].isin(UNRANKED)]
    widths = (column["high_singers"] - column["low_singers"]) / (column["high"] - column["low"])
    if not math.isfinite(widths.median()):
        return []
    return [
        "Intervals over singers draw all tracks of a singer together: they are the ones to read "
        "where a result is to hold for singers that are not in the corpus. They are "
        f"{widths.median():.1f} times as wide as those over {facts.unit} "
        f"({metric_name(facts.metric)}, median over the ranked rows); with {facts.n_singers} "
        "singers they are approximate."
    ]


def _unmarked(tables: ReportTables) -> list[str]:
    """Return why a table has no marks of significance, where it has too few songs for any."""
    (protocol, target), facts = next(iter(tables.groups.items()))
    column = column_of(tables.aggregates, protocol, target, facts.metric)
    values = column.dropna(subset="value").set_index("row")["value"]
    scored = [row for row in tables.rows if row.group != "bound" and row.label in values.index]
    ranked = [row for row in scored if row.ranked]
    if column["p_best"].notna().any() or not ranked:
        return []
    label = best_label({row.label: values[row.label] for row in ranked}, facts.metric)
    best = next(row for row in ranked if row.label == label)
    n_pairs = sum(is_tested(row, best) for row in scored)
    if n_pairs < 1 or least_p_value(facts.n_songs, n_pairs) < ALPHA:
        return []
    least = least_p_value(facts.n_songs, n_pairs)
    return [
        f"No row is marked as not told apart in {metric_name(facts.metric)}: with "
        f"{facts.n_songs} {facts.unit} and {n_pairs} pairs the least p-value that could come out "
        f"is {least:.2g}, above the level."
    ]


def _failures(results: Results) -> list[str]:
    """Return why each failed cell failed."""
    return [f"{o.cell.name} failed: {o.error}" for o in results.outcomes if o.status == "failed"]


def _unfinished(row: Row) -> str:
    """Return that a row is not finished: its numbers are left out whole."""
    if row.method in (IMPORTED, MADE_ELSEWHERE):
        return (
            f"{row.label} has no scores of this version of the protocol and this test split: they "
            "are older, damaged or gone. Score it again by bench score or bench import."
        )
    return f"{row.label} is not finished ({row.status}): nothing of it is shown."
