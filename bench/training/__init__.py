"""One training for every network."""
