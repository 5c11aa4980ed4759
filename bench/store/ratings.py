"""Listening tests: what each stimulus is, and how listeners rated it.

    runs/listening/<experiment>/key-<test>.json  the stimuli, under names that give nothing away
    runs/listening/<experiment>/ratings.json     the ratings that were taken in, without names

A page that was given out keeps its key: another test of the experiment is another file.

The page that listeners open holds the names of the stimuli and nothing of the key, so that nothing
that it shows tells what is heard.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
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
        Digest of its audio files in all trials.
    cells
        The fingerprints of the row's cells; none for the signals of the test itself.
    """

    label: str
    kind: str
    sha256: str
    cells: list[str] = []


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


_ANEW = "remove it, and write the test again by bench listen"

#: Ratings by listener, trial and stimulus, trials and stimuli in the order of the key.
Ratings = list[list[list[int]]]


class _Taken(_Strict):
    """The answers of all listeners to a test, as `take_answers` writes them."""

    version: int
    test: str
    ratings: list[list[list[_Rating]]]

    def is_complete(self, key: ListeningKey) -> bool:
        """Return whether each listener has rated every stimulus of every trial."""
        n_trials, n_stimuli = len(key.trials), len(key.stimuli)
        return all(
            len(listener) == n_trials and all(len(trial) == n_stimuli for trial in listener)
            for listener in self.ratings
        )


def make_key(target: str, stimuli: Sequence[Stimulus], tracks: Mapping[str, str]) -> ListeningKey:
    """Return a new test of these stimuli on these tracks (name and role), under new names."""
    trials = [
        Trial(id=_new_name(), track=track, role=role, names=[_new_name() for _ in stimuli])
        for track, role in tracks.items()
    ]
    return ListeningKey(
        version=VERSION, test=_new_name(), target=target, stimuli=list(stimuli), trials=trials
    )


def read_key(runs: Path, experiment: str, test: str) -> ListeningKey | None:
    """Return the key of a listening test of an experiment, None where there is none.

    Raises
    ------
    BenchError
        It is damaged, or of another version.
    """
    path = _key_path(runs, experiment, test)
    if not path.is_file():
        return None
    try:
        key = ListeningKey.model_validate(read_json(path))
    except ValidationError as error:
        raise BenchError(f"{path} is damaged: {error.errors()[0]['msg']}; {_ANEW}") from None
    if key.version != VERSION:
        raise BenchError(f"{path} is of version {key.version}, this code of {VERSION}; {_ANEW}")
    return key


def known_keys(runs: Path, experiment: str) -> list[ListeningKey]:
    """Return the keys of all listening tests of an experiment."""
    names = sorted(
        p.stem.removeprefix("key-") for p in _folder(runs, experiment).glob("key-*.json")
    )
    keys = (read_key(runs, experiment, name) for name in names)
    return [key for key in keys if key is not None]


def write_key(runs: Path, experiment: str, key: ListeningKey) -> None:
    """Write the key of a listening test."""
    path = _key_path(runs, experiment, key.test)
    make_folder(path.parent)
    write_text(path, key.model_dump_json(indent=1) + "\n")


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
    if not known_keys(runs, experiment):
        raise BenchError(f"{experiment} has no listening test: bench listen {experiment} makes it")
    paths = sorted(answers.glob("*.json"))
    if not paths:
        raise BenchError(f"{answers} holds no answers: *.json, as the page of the test saves them")
    ratings: Ratings = []
    file_of: dict[str, Path] = {}
    errors: list[BenchError] = []
    test = ""
    for path in paths:
        try:
            one = _read_answers(path)
            test = test or one.test
            key = read_key(runs, experiment, one.test)
            if key is None or one.test != test:
                raise BenchError("these are answers to another test than those before, or to none")
            ratings.append(_in_order(one, key))
            name = one.listener.strip().casefold()
            if name in file_of:
                other = file_of[name].name
                raise BenchError(f"listener {one.listener!r} answered in {other} too; keep one")
            file_of[name] = path
        except BenchError as error:
            errors.append(BenchError(f"{path}: {error}"))
    if errors:
        raise joined(errors)
    content = {"version": VERSION, "test": test, "ratings": ratings}
    write_text(_folder(runs, experiment) / "ratings.json", json.dumps(content) + "\n")
    return ratings


def read_ratings(runs: Path, experiment: str, cells: Collection[str]) -> dict[str, Any] | None:
    """Return a test and its ratings as ``provenance.json`` holds them; None where none are there.

    Parameters
    ----------
    runs
        The folder of all cells.
    experiment
        Name of the experiment.
    cells
        The fingerprints of its cells. Ratings of a row that is not computed by these any more are
        left out.

    Returns
    -------
    dict
        ``target``; ``tracks`` and ``stimuli``, each with ``label`` and ``kind``; and ``ratings``,
        see `Ratings`.

    Raises
    ------
    BenchError
        The files are damaged.
    """
    path = _folder(runs, experiment) / "ratings.json"
    content = read_json(path)
    damaged = (
        f"{path} is damaged, or its key is missing: take the answers in again "
        f"(bench listen {experiment} --answers FOLDER), or remove the file"
    )
    if content is None:
        if path.exists():
            raise BenchError(damaged)
        return None
    try:
        taken = _Taken.model_validate(content)
    except ValidationError:
        raise BenchError(damaged) from None
    key = read_key(runs, experiment, taken.test)
    if key is None or not taken.is_complete(key):
        raise BenchError(damaged)
    kept = [i for i, one in enumerate(key.stimuli) if set(one.cells) <= set(cells)]
    return {
        "target": key.target,
        "tracks": [trial.track for trial in key.trials],
        "stimuli": [{"label": key.stimuli[i].label, "kind": key.stimuli[i].kind} for i in kept],
        "ratings": [[[of[i] for i in kept] for of in listener] for listener in taken.ratings],
    }


def _key_path(runs: Path, experiment: str, test: str) -> Path:
    """Return the file of a test's key; the name of a test is hexadecimal digits.

    Raises
    ------
    BenchError
        It is anything else.
    """
    if not re.fullmatch(r"[0-9a-f]{8}", test):
        raise BenchError(f"{test!r} is no name of a listening test")
    return _folder(runs, experiment) / f"key-{test}.json"


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
        raise BenchError(f"these are no answers: {place!r}: {first['msg']}") from None


def _in_order(answers: _Answers, key: ListeningKey) -> list[list[int]]:
    """Return a listener's ratings by trial and stimulus, in the order of the key."""
    if answers.version != VERSION:
        raise BenchError(
            f"these are answers of version {answers.version}, the code is of {VERSION}"
        )
    if sorted(one.trial for one in answers.trials) != sorted(trial.id for trial in key.trials):
        raise BenchError(f"it must answer each of the {len(key.trials)} tracks of the test once")
    by_trial = {one.trial: one.ratings for one in answers.trials}
    return [list(_of_trial(by_trial[trial.id], trial)) for trial in key.trials]


def _of_trial(ratings: Mapping[str, int], trial: Trial) -> Iterator[int]:
    """Yield the rating of each stimulus of a trial."""
    missing, others = set(trial.names) - set(ratings), set(ratings) - set(trial.names)
    if missing or others:
        raise BenchError(
            f"{len(missing)} stimuli of track {trial.track!r} have no rating, and {len(others)} "
            "ratings are of no stimulus"
        )
    for name in trial.names:
        yield ratings[name]
