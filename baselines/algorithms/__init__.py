"""TODO baselines/algorithms."""
