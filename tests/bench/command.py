"""Runs the command line in this process, for the tests of this folder."""

from __future__ import annotations

import sys

from bench import cli


def bench(*words: str) -> int:
    """Run a command as the entry point does and return its exit status."""
    kept = sys.argv
    sys.argv = ["bench", *map(str, words)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = kept
    return 0
