"""What to compute: an experiment file, its checks, and the cells it stands for."""
