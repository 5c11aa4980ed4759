"""Algorithms that several papers share."""
