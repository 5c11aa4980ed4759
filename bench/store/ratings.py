"""Listening tests: what each stimulus is, and how listeners rated it.

    runs/listening/<experiment>/key.json      the stimuli, under names that give nothing away
    runs/listening/<experiment>/ratings.json  the ratings that were taken in, listeners as numbers

The page that listeners open holds the names of the stimuli and nothing of the key, so that neither
they nor who gives them the page can know what is heard.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BenchError, joined
from bench.store.files import make_folder, read_json, write_text

#: Raise it with every change of the files.
VERSION = 1
#: Largest file of answers in bytes: a hundred times what a test of 12 stimuli and 3 tracks takes.
_LARGEST = 1_000_000

_Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
_Rating = Annotated[int, Field(ge=0, le=100, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stimulus(_Strict):
    """A signal that listeners rate.

    Attributes
    ----------
    label
        The row's label; ``Hidden reference`` or ``Anchor`` for those of the test itself.
    kind
        ``reference``, ``anchor``, or the group of the row.
    sha256
        Of the audio file.
    """

    label: str
    kind: str
    sha256: str


class Trial(_Strict):
    """A track of a listening test: its stimuli are rated side by side.

    Attributes
    ----------
    id
        Its name in the page.
    track, role
        The track, and which of the clips it is; see `bench.store.listening.ROLES`.
    names
        The name in the page of each of the test's stimuli, in their order.
    """

    id: str
    track: str
    role: str
    names: list[str]


class ListeningKey(_Strict):
    """What lies behind the names in the page of a listening test.

    Attributes
    ----------
    version
        `VERSION`.
    test
        The test's name in the page and in the answers.
    target
        The target that is heard.
    stimuli
        Those of each trial, in the same order: hidden reference, anchor, rows. The digests are of
        all trials' files.
    trials
        The tracks.
    """

    version: int
    test: str
    target: str
    stimuli: list[Stimulus]
    trials: list[Trial]


class _Answered(_Strict):
    trial: str
    order: list[str] = Field(max_length=100)
    ratings: dict[str, _Rating]
    seconds: float = Field(ge=0)


class _Answers(_Strict):
    version: int
    test: str
    listener: _Name
    saved: str = Field(max_length=40)
    trials: list[_Answered]


#: Ratings by listener, trial and stimulus, trials and stimuli in the order of the key.
Ratings = list[list[list[int]]]


def make_key(target: str, stimuli: Sequence[Stimulus], tracks: Mapping[str, str]) -> ListeningKey:
    """Return a new test of these stimuli on these tracks (name and role), under new names."""
    trials = [
        Trial(id=_new_name(), track=track, role=role, names=[_new_name() for _ in stimuli])
        for track, role in tracks.items()
    ]
    return ListeningKey(
        version=VERSION, test=_new_name(), target=target, stimuli=list(stimuli), trials=trials
    )


def read_key(runs: Path, experiment: str) -> ListeningKey | None:
    """Return the key of an experiment's listening test, None where there is none."""
    value = read_json(_folder(runs, experiment) / "key.json")
    if value is None or value.get("version") != VERSION:
        return None
    return ListeningKey.model_validate(value)


def write_key(runs: Path, experiment: str, key: ListeningKey) -> None:
    """Write the key of an experiment's listening test.

    Raises
    ------
    BenchError
        Ratings of another test were taken in: they would be lost.
    """
    folder = _folder(runs, experiment)
    before = read_key(runs, experiment)
    if (folder / "ratings.json").is_file() and before is not None and before.test != key.test:
        raise BenchError(
            f"{folder} holds ratings of a test of other estimates; move it away to begin another"
        )
    make_folder(folder)
    write_text(folder / "key.json", key.model_dump_json(indent=1) + "\n")


def take_answers(runs: Path, experiment: str, answers: Path) -> Ratings:
    """Take in the answers of all listeners of a test, in place of those taken in before.

    Parameters
    ----------
    runs
        The folder of all cells.
    experiment
        Name of the experiment.
    answers
        Folder of the files that the page has saved, one a listener; other files are left alone.

    Returns
    -------
    list
        `Ratings`, listeners in the order of their files.

    Raises
    ------
    BenchError
        There is no test, or any file is not answers to all of it; nothing is taken in then.
    """
    key = read_key(runs, experiment)
    if key is None:
        raise BenchError(f"{experiment} has no listening test: bench listen {experiment} makes it")
    paths = sorted(answers.glob("*.json"))
    if not paths:
        raise BenchError(f"{answers} holds no answers: *.json, as the page of the test saves them")
    ratings: Ratings = []
    file_of: dict[str, Path] = {}
    errors: list[BenchError] = []
    for path in paths:
        try:
            one = _read_answers(path)
            ratings.append(_in_order(one, key))
            if one.listener in file_of:
                other = file_of[one.listener].name
                raise BenchError(f"listener {one.listener!r} answered in {other} too; keep one")
            file_of[one.listener] = path
        except BenchError as error:
            errors.append(BenchError(f"{path}: {error}"))
    if errors:
        raise joined(errors)
    content = {"version": VERSION, "test": key.test, "ratings": ratings}
    write_text(_folder(runs, experiment) / "ratings.json", json.dumps(content) + "\n")
    return ratings


def read_ratings(runs: Path, experiment: str) -> dict[str, Any] | None:
    """Return a test and its ratings as ``provenance.json`` holds them; None where none are there.

    Returns
    -------
    dict
        ``target``; ``tracks`` and ``stimuli``, each with ``label`` and ``kind``; and ``ratings``,
        see `Ratings`.
    """
    key = read_key(runs, experiment)
    taken = read_json(_folder(runs, experiment) / "ratings.json") or {}
    if key is None or taken.get("test") != key.test:
        return None
    return {
        "target": key.target,
        "tracks": [trial.track for trial in key.trials],
        "stimuli": [{"label": one.label, "kind": one.kind} for one in key.stimuli],
        "ratings": taken["ratings"],
    }


def _folder(runs: Path, experiment: str) -> Path:
    """Return the folder of an experiment's listening test."""
    return runs / "listening" / experiment


def _new_name() -> str:
    """Return a name that gives nothing away."""
    return secrets.token_hex(4)


def _read_answers(path: Path) -> _Answers:
    """Return a listener's file of answers."""
    try:
        if path.stat().st_size > _LARGEST:
            raise BenchError("it is too large to be answers")
        return _Answers.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BenchError(f"it cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BenchError(f"these are no answers: {place}: {first['msg']}") from None


def _in_order(answers: _Answers, key: ListeningKey) -> list[list[int]]:
    """Return a listener's ratings by trial and stimulus, in the order of the key."""
    if answers.version != VERSION or answers.test != key.test:
        raise BenchError("these are answers to another test, or to an earlier page of this one")
    by_trial = {one.trial: one.ratings for one in answers.trials}
    return [list(_of_trial(by_trial.get(trial.id, {}), trial)) for trial in key.trials]


def _of_trial(ratings: Mapping[str, int], trial: Trial) -> Iterator[int]:
    """Yield the rating of each stimulus of a trial."""
    missing = len(set(trial.names) - set(ratings))
    if missing:
        raise BenchError(f"{missing} stimuli of track {trial.track!r} have no rating")
    for name in trial.names:
        yield ratings[name]
