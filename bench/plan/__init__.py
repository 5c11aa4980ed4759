"""TODO bench/plan."""
