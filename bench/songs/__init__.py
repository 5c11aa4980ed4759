"""TODO bench/songs."""
