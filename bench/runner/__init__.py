"""Computes cells: in this process, on local workers, or on a cluster."""
