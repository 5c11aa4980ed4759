"""The key of a listening test and the answers to it."""

from __future__ import annotations

import json

import pytest

from bench.errors import BenchError
from bench.store.ratings import (
    Stimulus,
    known_keys,
    make_key,
    read_ratings,
    take_answers,
    write_key,
)

STIMULI = [
    Stimulus(label="Hidden reference", kind="reference", sha256="a"),
    Stimulus(label="Anchor", kind="anchor", sha256="b"),
    Stimulus(label="RPCA", kind="unsupervised", sha256="c", cells=["f" * 64]),
]


@pytest.fixture
def key(tmp_path):
    key = make_key("vocals", STIMULI, {"one": "easy", "two": "hard"})
    write_key(tmp_path, "mine", key)
    return key


def answers(key, listener, *ratings):
    """Return the answers of a listener, the same ratings in each trial."""
    trials = [
        {
            "trial": trial.id,
            "order": trial.names[::-1],
            "ratings": dict(zip(trial.names, ratings, strict=True)),
            "seconds": 30,
        }
        for trial in reversed(key.trials)
    ]
    saved = "2026-01-01T00:00:00Z"
    return {"version": 1, "test": key.test, "listener": listener, "saved": saved, "trials": trials}


def save(folder, name, content):
    folder.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")


def test_answers_are_put_into_the_order_of_the_key_without_names(tmp_path, key):
    save(tmp_path / "in", "a.json", answers(key, "Anna", 100, 30, 60))
    save(tmp_path / "in", "b.json", answers(key, "Ben", 95, 20, 50))
    save(tmp_path / "in", "notes.txt", "left alone")
    ratings = take_answers(tmp_path, "mine", tmp_path / "in")
    assert ratings == [[[100, 30, 60]] * 2, [[95, 20, 50]] * 2]
    facts = read_ratings(tmp_path, "mine", ["f" * 64])
    assert facts["ratings"] == ratings
    assert facts["tracks"] == ["one", "two"]
    assert [one["label"] for one in facts["stimuli"]] == ["Hidden reference", "Anchor", "RPCA"]
    assert "Anna" not in (tmp_path / "listening" / "mine" / "ratings.json").read_text()


def broken(key):
    good = answers(key, "Cleo", 100, 30, 60)
    other = {**good, "test": "0" * 8}
    loud = json.loads(json.dumps(good).replace("100", "101"))
    half = json.loads(json.dumps(good).replace("100", "99.5"))
    partial = {**good, "trials": good["trials"][:1]}
    twice = {**good, "trials": [*good["trials"], good["trials"][0]]}
    strange = json.loads(json.dumps(good))
    strange["trials"][-1]["ratings"]["0" * 8] = 50
    named = {**good, "listener": "a\nb"}
    return {
        "c.json": (other, "these are answers to another test"),
        "c2.json": (twice, "it must answer each of the 2 tracks of the test once"),
        "c3.json": (strange, "0 stimuli of track 'one' have no rating, and 1 ratings are of no"),
        "d.json": (loud, "less than or equal to 100"),
        "e.json": (half, "valid integer"),
        "f.json": (partial, "it must answer each of the 2 tracks of the test once"),
        "g.json": (named, "listener"),
        "h.json": ("{", "these are no answers: 'the file': Invalid JSON"),
        "i.json": ("[" * 100_000, "these are no answers"),
        "j.json": (json.dumps({**good, "more": "x" * 2_000_000}), "too large"),
        "k.json": ({**good, "listener": "anna "}, "listener 'anna ' answered in a.json too"),
        "l.json": ({**good, "\x1b[31m": 1}, "'\\x1b[31m': Extra inputs are not permitted"),
    }


def test_every_file_that_is_no_answers_is_named_and_nothing_is_taken_in(tmp_path, key):
    save(tmp_path / "in", "a.json", answers(key, "Anna", 100, 30, 60))
    take_answers(tmp_path, "mine", tmp_path / "in")
    before = read_ratings(tmp_path, "mine", ["f" * 64])
    cases = broken(key)
    for name, (content, _) in cases.items():
        save(tmp_path / "in", name, content)
    with pytest.raises(BenchError) as caught:
        take_answers(tmp_path, "mine", tmp_path / "in")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(cases)
    for line, (name, (_, why)) in zip(lines, cases.items(), strict=True):
        assert line.startswith(f"{tmp_path / 'in' / name}: ")
        assert why in line
    assert read_ratings(tmp_path, "mine", ["f" * 64]) == before


def test_pages_that_were_given_out_keep_their_keys(tmp_path, key):
    other = make_key("vocals", STIMULI[:2], {"one": "easy"})
    write_key(tmp_path, "mine", other)
    assert {one.test for one in known_keys(tmp_path, "mine")} == {key.test, other.test}
    save(tmp_path / "in", "a.json", answers(key, "Anna", 100, 30, 60))
    assert take_answers(tmp_path, "mine", tmp_path / "in") == [[[100, 30, 60]] * 2]
    save(tmp_path / "in", "b.json", answers(other, "Ben", 100, 30))
    with pytest.raises(BenchError, match=r"b\.json: these are answers to another test"):
        take_answers(tmp_path, "mine", tmp_path / "in")


def test_ratings_of_a_row_that_is_computed_otherwise_now_are_left_out(tmp_path, key):
    save(tmp_path / "in", "a.json", answers(key, "Anna", 100, 30, 60))
    take_answers(tmp_path, "mine", tmp_path / "in")
    facts = read_ratings(tmp_path, "mine", ["e" * 64])
    assert [one["label"] for one in facts["stimuli"]] == ["Hidden reference", "Anchor"]
    assert facts["ratings"] == [[[100, 30]] * 2]


def test_damaged_files_are_named(tmp_path, key):
    save(tmp_path / "in", "a.json", answers(key, "Anna", 100, 30, 60))
    take_answers(tmp_path, "mine", tmp_path / "in")
    folder = tmp_path / "listening" / "mine"
    (folder / f"key-{key.test}.json").write_text('{"version": 1}')
    with pytest.raises(BenchError, match=f"key-{key.test}.json is damaged"):
        read_ratings(tmp_path, "mine", [])
    content = {"version": 1, "test": "../../key", "ratings": []}
    (folder / "ratings.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match="is no name of a listening test"):
        read_ratings(tmp_path, "mine", [])
    (folder / "ratings.json").write_text('{"version": 1, "te')
    with pytest.raises(BenchError, match=r"ratings\.json is damaged.*take the answers in again"):
        read_ratings(tmp_path, "mine", [])


@pytest.mark.parametrize(
    "ratings",
    ["100", [[100, 30, 60]], [[[100, 30]] * 2], [[[100, 30, 60]]], [[[100, 30, 101]] * 2]],
)
def test_ratings_of_another_shape_or_range_are_damaged(tmp_path, key, ratings):
    content = {"version": 1, "test": key.test, "ratings": ratings}
    (tmp_path / "listening" / "mine" / "ratings.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match=r"ratings\.json is damaged.*take the answers in again"):
        read_ratings(tmp_path, "mine", [])


def test_no_test_and_no_answers_are_said(tmp_path, key):
    with pytest.raises(BenchError, match="yours has no listening test: bench listen yours makes"):
        take_answers(tmp_path, "yours", tmp_path)
    (tmp_path / "in").mkdir()
    with pytest.raises(BenchError, match="holds no answers"):
        take_answers(tmp_path, "mine", tmp_path / "in")
    assert read_ratings(tmp_path, "mine", ["f" * 64]) is None


def test_names_give_nothing_away(key):
    names = [key.test, *(trial.id for trial in key.trials)]
    names += [name for trial in key.trials for name in trial.names]
    assert len(set(names)) == len(names) == 1 + 2 + 2 * 3
    assert all(set(name) <= set("0123456789abcdef") and len(name) == 8 for name in names)
