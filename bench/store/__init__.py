"""TODO bench/store."""
