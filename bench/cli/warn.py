"""What a command says beside its result."""

from __future__ import annotations

import sys

from bench.errors import printable


def warn(text: object) -> None:
    """Print a text to the standard error, each line of it after the name of the program."""
    for line in printable(str(text)).splitlines():
        print(f"bench: {line}", file=sys.stderr, flush=True)
