"""A benchmark suite for singing-voice separation: every method on one split, scored by one code."""

__version__ = "0.1.0"
