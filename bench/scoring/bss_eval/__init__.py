"""TODO bench/scoring/bss_eval."""
