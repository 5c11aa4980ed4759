"""Content of a JSON file with one field changed, as damage or another's hand would."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

#: Values of every type of JSON.
VALUES = (None, True, 7, -1.5, "x", [], [1], {}, {"a": 1})


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to every value; of a list to its first."""
    keys = value if isinstance(value, dict) else range(min(len(value), 1))
    for key in keys:
        yield (*above, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*above, key))


def with_value(content: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy of the content with another value in a place; with ``...``, with none."""
    other = copy.deepcopy(content)
    holder = other
    for key in place[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return other


def changed(content: dict[str, Any], most: int = 200) -> list[dict[str, Any]]:
    """Return the content with one value replaced or removed, for so many places and types."""
    cases = [(place, value) for place in places(content) for value in (*VALUES, ...)]
    chosen = random.Random(0).sample(cases, min(most, len(cases)))  # noqa: S311
    return [with_value(content, place, value) for place, value in chosen]
