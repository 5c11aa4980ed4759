"""TODO bench/report/formats."""
