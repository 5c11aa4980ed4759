"""What a report claims: marks of significance, sentences, units, and where its cells come from."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest

from bench.plan.cells import Cell
from bench.plan.experiment import Experiment, MethodEntry
from bench.report.formats.latex import latex
from bench.report.formats.markdown import markdown
from bench.report.formats.page import html_page
from bench.report.prose.answer import answer_text
from bench.report.prose.notes import notes, provenance_warning
from bench.report.tabulate import tabulate
from bench.report.write import scores_parquet
from bench.store.results import Outcome, Results

NO_FACTS = {"cells": [], "examples": []}
METRICS = ("nsdr", "sdr", "sir", "sar")


def scored(values) -> pa.Table:
    """Return the scores of a cell whose n-th track has the n-th value under every metric."""
    rows = [
        (f"t{i:02d}", "vocals", "bss_eval_v3", metric, -1, float(value), 8000)
        for i, value in enumerate(values)
        for metric in METRICS
    ]
    columns = ["track", "target", "protocol", "metric", "window", "value", "n_samples"]
    table = pa.Table.from_pandas(pd.DataFrame(rows, columns=columns), preserve_index=False)
    for i, name in enumerate(columns[:4]):
        table = table.set_column(i, name, table[name].dictionary_encode())
    return table


def results_of(rows, groups=None, commits=()) -> Results:
    """Return results of rows, each a label and for each of its seeds the values of the tracks."""
    outcomes, entries, n_seeds = [], [], 1
    for n, (label, by_seed) in enumerate(rows.items()):
        entries.append({"method": "mixture", "label": label})
        n_seeds = max(n_seeds, len(by_seed))
        for seed, values in by_seed.items():
            cell = Cell(label, "drnn", "supervised", 1, {"n": n}, seed, "synthetic",
                        {"test": "d" * 64}, {"bss_eval_v3": 1})  # fmt: skip
            commit = commits[n % len(commits)] if commits else "a" * 40
            facts = {"bss_eval_v3": {"provenance": {"commit": commit}, "n_tracks": len(values)}}
            outcomes.append(Outcome(cell, "done", None, {"bss_eval_v3": scored(values)}, facts))
    experiment = Experiment(
        name="x", title="Title", why="Why.", dataset="synthetic", seeds=list(range(n_seeds)),
        methods=entries, table={"targets": ["vocals"]},
    )  # fmt: skip
    corpus = {"title": "Corpus", "citation": "Somebody.", "licence": "free", "n_test": 20,
              "n_full": 20, "groups": groups or {}}  # fmt: skip
    return Results(experiment, corpus, outcomes)


RNG = np.random.default_rng(5)
BASE = RNG.normal(5, 2, 20)
NEAR = BASE - 0.05 + np.tile([0.5, -0.5], 10)
FAR = BASE - 3 + RNG.normal(0, 0.1, 20)
PAIRS = {f"t{i:02d}": [f"song {i // 2}", f"singer {i // 4}"] for i in range(20)}


def entry_of(results, label, metric="gnsdr"):
    (part,) = tabulate(results).parts
    (line,) = [line for line in part.lines if line.row.label == label]
    return line.entries[metric]


def test_rows_without_chance_are_tested_and_marked():
    results = results_of({"A": {None: BASE}, "B": {None: NEAR}, "C": {None: FAR}})
    assert entry_of(results, "B").close
    assert not entry_of(results, "C").close
    assert "C" not in answer_text(results, tabulate(results).parts[0]).split("told apart")[-1]


def test_two_trainings_of_one_seed_each_are_never_tested_against_each_other():
    results = results_of({"A": {0: BASE}, "B": {0: NEAR}, "C": {0: FAR}, "D": {None: FAR}})
    tables = tabulate(results)
    for label in ("B", "C"):
        entry = entry_of(results, label)
        assert np.isnan(entry.p_best)
        assert not entry.close
    assert entry_of(results, "D").p_best < 0.05, "a row without chance is tested still"
    answer = answer_text(results, tables.parts[0])
    assert "one training each, so that the difference is not tested" in answer
    assert "significant" not in answer
    assert any(
        "computed once, so that the spread over trainings is not known" in note
        for note in notes(tables)
    )


def test_with_two_seeds_they_are():
    results = results_of({"A": {0: BASE, 1: BASE + 0.1}, "B": {0: FAR, 1: FAR}})
    assert entry_of(results, "B").p_best < 0.05
    assert entry_of(results, "B").p_best_trainings < 0.05
    assert not entry_of(results, "B").close


def test_rows_that_their_trainings_do_not_tell_apart_are_marked_and_the_report_says_so():
    """A shift that is the same on all songs is significant over songs, however small it is."""
    rows = {
        "A": {seed: BASE + shift for seed, shift in enumerate([0.3, -0.2, 0.0])},
        "B": {seed: BASE - 0.02 + shift for seed, shift in enumerate([-0.3, 0.1, 0.2])},
        "C": {None: BASE - 3},
    }
    results = results_of(rows)
    entry, tables = entry_of(results, "B"), tabulate(results)
    assert entry.p_best < 0.001
    assert entry.p_best_trainings > 0.5
    assert entry.close
    assert not entry_of(results, "C").close
    (part,) = tables.parts
    answer = answer_text(results, part)
    p = f"{entry.p_best_trainings:.2g}"
    assert f"(not significant: p < 0.001 over tracks, p = {p} over trainings)" in answer
    for text in (markdown(tables), html_page(tables, NO_FACTS)):
        assert "Welch&#39;s" in text or "Welch's" in text
    assert "over trainings" in html_page(tables, NO_FACTS)


def test_two_masks_of_the_same_networks_are_compared_network_by_network():
    rows = {
        "A": {seed: BASE + shift for seed, shift in enumerate([0.3, -0.2, 0.0])},
        "B": {seed: BASE - 0.1 + shift for seed, shift in enumerate([0.31, -0.2, 0.0])},
    }
    results = results_of(rows)
    assert entry_of(results, "B").close
    masks = [{"test_mask": "abs"}, {"test_mask": "square"}]
    outcomes = [
        replace(o, cell=replace(o.cell, hyperparameters=masks["AB".index(o.cell.row)]))
        for o in results.outcomes
    ]
    assert not entry_of(replace(results, outcomes=outcomes), "B").close


def test_two_rows_that_print_the_same_share_the_best_value():
    results = results_of({"A": {None: BASE}, "B": {None: BASE - 0.0001}})
    answer = answer_text(results, tabulate(results).parts[0])
    assert "as B has to two decimals" in answer


def test_one_method_alone_is_not_called_the_best_and_what_failed_is_named():
    results = results_of({"A": {None: BASE}, "B": {None: NEAR}})
    bound = replace(results.outcomes[1].cell, group="bound")
    outcomes = [results.outcomes[0], Outcome(bound, "failed", "no memory")]
    tables = tabulate(replace(results, outcomes=outcomes))
    answer = answer_text(tables.results, tables.parts[0])
    assert "A has for the vocals: GNSDR" in answer
    assert "highest" not in answer
    assert "Failed or not finished, and left out: B." in answer


def test_undefined_scores_are_those_of_one_training():
    holes = np.where(np.arange(20) == 3, np.nan, BASE)
    results = results_of({"A": {0: holes, 1: holes, 2: holes}})
    (line,) = tabulate(results).parts[0].lines
    assert line.tracks == "20 (1 undefined)"


def test_no_mark_where_no_p_value_can_pass_the_level_and_the_note_says_why():
    rows = {f"R{i:02d}": {None: BASE[:8] - i} for i in range(12)}
    results = results_of(rows)
    tables = tabulate(results)
    assert tables.aggregates["p_best"].isna().all()
    assert not any(e.close for line in tables.parts[0].lines for e in line.entries.values())
    (note,) = [note for note in notes(tables) if note.startswith("No row is marked")]
    assert "with 8 tracks and 11 pairs" in note
    assert "0.086" in note
    chance = {f"N{i}": {0: BASE[:8] - 0.1 * i} for i in range(8)}
    mixed = {**chance, **{f"R{i}": {None: BASE[:8] - 0.1 - i} for i in range(3)}}
    tables = tabulate(results_of(mixed))  # the best is of one training: 3 pairs are tested
    assert tables.aggregates["p_best"].notna().any()
    assert not any(note.startswith("No row is marked") for note in notes(tables))
    fewer = tabulate(results_of({k: rows[k] for k in list(rows)[:4]}))
    assert not any(note.startswith("No row is marked") for note in notes(fewer))


def test_intervals_and_tests_are_over_songs_where_songs_have_several_tracks():
    rows = {"A": {None: BASE}, "B": {None: NEAR}}
    grouped, plain = tabulate(results_of(rows, PAIRS)), tabulate(results_of(rows))
    line, alone = grouped.aggregates.iloc[0], plain.aggregates.iloc[0]
    assert (line.n_tracks, line.n_songs, line.n_singers) == (20, 10, 5)
    assert (alone.n_tracks, alone.n_songs, alone.n_singers) == (20, 20, 0)
    assert line.value == alone.value
    assert line.low_singers < line.value < line.high_singers
    assert np.isnan(alone.low_singers)
    assert grouped.parts[0].unit == "songs"
    assert plain.parts[0].unit == "tracks"
    text = markdown(grouped)
    assert "20 tracks are of 10 songs by 5 singers" in text
    assert "95 % over songs | 95 % over singers" in text
    assert "interval over songs" in latex(grouped, with_intervals=True)
    assert "interval over tracks" in latex(plain, with_intervals=True)
    page = html_page(grouped, NO_FACTS)
    assert "interval over songs" in page
    assert "95&nbsp;% over singers" in page
    few = {track: [song, f"singer {i % 2}"] for i, (track, (song, _)) in enumerate(PAIRS.items())}
    of_two = tabulate(results_of(rows, few))
    assert of_two.aggregates["low_singers"].isna().all(), "two singers are too few"
    assert "over singers" not in markdown(of_two)


def test_song_and_singer_are_columns_of_the_scores():
    table = pq.read_table(io.BytesIO(scores_parquet(results_of({"A": {None: BASE}}, PAIRS))))
    frame = table.to_pandas().drop_duplicates("track").set_index("track")
    assert frame.loc["t07", "song"] == "song 3"
    assert frame.loc["t07", "singer"] == "singer 1"
    alone = pq.read_table(io.BytesIO(scores_parquet(results_of({"A": {None: BASE}}))))
    assert alone["song"].to_pylist() == alone["track"].to_pylist()
    assert set(alone["singer"].to_pylist()) == {""}


def test_a_report_of_several_commits_or_uncommitted_changes_says_so_at_its_top():
    rows = {label: {None: BASE - i} for i, label in enumerate("ABC")}
    assert provenance_warning(results_of(rows)) == ""
    several = results_of(rows, commits=("a" * 40, "b" * 40, "b" * 40 + "-dirty"))
    warning = provenance_warning(several)
    assert "computed at 2 commits" in warning
    assert "1 of 3 rows was computed by code with uncommitted changes" in warning
    tables = tabulate(several)
    assert markdown(tables).index("one clean commit") < markdown(tables).index("## Vocals")
    page = html_page(tables, NO_FACTS)
    assert page.index("one clean commit") < page.index('id="results"')


def test_a_report_says_of_each_row_where_it_comes_from_where_there_is_something_to_tell():
    plain = results_of({"One": {None: [1.0, 2.0]}, "Other": {None: [2.0, 3.0]}})
    assert "comes from" not in markdown(tabulate(plain))
    assert 'id="origins"' not in html_page(tabulate(plain), NO_FACTS)
    first, second = plain.experiment.methods
    methods = [first.model_copy(update={"chosen": "select_x"}), second]
    told = replace(plain, experiment=plain.experiment.model_copy(update={"methods": methods}))
    text = markdown(tabulate(told))
    assert "| One | computed here | selected by select\\_x |" in text
    assert "| Other | computed here | – |" in text
    page = html_page(tabulate(told), NO_FACTS)
    assert '<th scope="row">One</th><td>computed here</td><td>selected by select_x</td>' in page
    outcome = plain.outcomes[1]
    imported = replace(outcome, cell=replace(outcome.cell, group="imported"))
    text = markdown(tabulate(replace(plain, outcomes=[plain.outcomes[0], imported])))
    assert "| Other | imported | – |" in text


def test_a_published_figure_that_something_sets_apart_is_marked_and_the_note_says_what():
    plain = results_of({"One": {None: [1.0, 2.0]}, "Other": {None: [2.0, 3.0]}})
    published = {"published": {"vocals": {"gnsdr": 10.94}}}
    apart = {**published, "published_note": "chosen by test clips"}
    entries = [
        entry.model_copy(update=update)
        for entry, update in zip(plain.experiment.methods, (apart, published), strict=True)
    ]
    told = replace(plain, experiment=plain.experiment.model_copy(update={"methods": entries}))
    tables = tabulate(told)
    lines = {line.row.label: line.entries for line in tables.parts[0].lines}
    assert lines["One"]["gnsdr"].published == "10.94†"
    assert lines["One"]["gsir"].published == ""  # no row has one: the metric has no such column
    assert tables.parts[0].published_metrics == ["gnsdr"]
    assert lines["Other"]["gnsdr"].published == "10.94"
    assert "† One, published values: chosen by test clips" in notes(tables)
    assert "10.94†" in html_page(tables, NO_FACTS)
    assert "10.94{\\rlap{\\textdagger{}}}" in latex(tables)


def test_how_constants_were_chosen_is_one_of_three_things():
    entry = {"method": "mixture", "label": "One"}
    for chosen in ("published", "not tuned", "select_rpca"):
        assert MethodEntry(**entry, chosen=chosen).chosen == chosen
    with pytest.raises(pydantic.ValidationError):
        MethodEntry(**entry, chosen="by ear")
