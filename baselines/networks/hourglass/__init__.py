"""Stacked hourglass networks, after Park et al. (ISMIR 2018)."""
