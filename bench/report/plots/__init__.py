"""Drawings as SVG: the figure of an experiment, and the charts of its page."""
