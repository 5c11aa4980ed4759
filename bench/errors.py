"""The one error that a user is meant to read, and the nearest known name to a misspelt one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

#: Characters that a terminal, a page or a file name would obey in place of showing them: controls,
#: those that turn the direction of what follows, and bytes of a file name that are no UTF-8.
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class BenchError(ValueError):
    """Input that cannot be used: says what, where and what to do, in one line for each fault.

    The command line prints its message without a traceback; anything else that is raised
    is a defect of ours and keeps its traceback.
    """


def joined(errors: Iterable[BenchError]) -> BenchError:
    """Return one error with the line of each of `errors`, each line once."""
    return BenchError("\n".join(dict.fromkeys(map(str, errors))))


def exception_text(error: BaseException) -> str:
    """Return the type of an exception and the first line of what it says.

    Examples
    --------
    >>> exception_text(IndexError("out of range")), exception_text(NotImplementedError())
    ('IndexError: out of range', 'NotImplementedError')
    """
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest of `known` to `name`, or all of them.

    Parameters
    ----------
    name
        What the user wrote.
    known
        What could have been meant.

    Returns
    -------
    str
        ``did you mean 'gamma'?`` or ``known: a, b, c``.

    Examples
    --------
    >>> nearest("gama", ["gamma", "hidden"])
    "did you mean 'gamma'?"
    >>> nearest("zzz", ["b", "a"])
    'known: a, b'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def printable(text: str) -> str:
    r"""Return a text from a file with its control characters, but for ends of lines, as escapes.

    Examples
    --------
    >>> printable("a line\n\x1b[2J")
    'a line\n\\x1b[2J'
    """
    return _CONTROLS.sub(
        lambda match: match[0] if match[0] in "\n\t" else repr(match[0])[1:-1], text
    )


def check_text(what: str, text: str, *, has_lines: bool = False) -> None:
    """Refuse a text with characters that control a terminal, or turn what follows around.

    Parameters
    ----------
    what
        Where the text stands, such as ``--as``.
    text
        What the user wrote.
    has_lines
        Whether it may have several lines, and tabs.

    Raises
    ------
    BenchError
        It names the first such character.

    Examples
    --------
    >>> check_text("--as", "Ours")
    >>> check_text("--as", chr(155))
    Traceback (most recent call last):
    bench.errors.BenchError: --as holds the control character '...'; leave it out
    """
    control = _CONTROLS.search(re.sub(r"[\n\t]", "", text) if has_lines else text)
    if control:
        raise BenchError(f"{what} holds the control character {control[0]!r}; leave it out")


def check_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not one of `known`.

    Parameters
    ----------
    kind
        What the name stands for, such as ``dataset``.
    name
        What the user wrote.
    known
        What could have been meant.

    Raises
    ------
    BenchError
        With the nearest known name.

    Examples
    --------
    >>> check_known("split", "tset", ["train", "test"])
    Traceback (most recent call last):
    bench.errors.BenchError: no split 'tset'; did you mean 'test'?
    """
    names = list(known)
    if name not in names:
        raise BenchError(f"no {kind} {name!r}; {nearest(name, names)}")
