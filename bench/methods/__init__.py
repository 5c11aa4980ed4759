"""TODO bench/methods."""
