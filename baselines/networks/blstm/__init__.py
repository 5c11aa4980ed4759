"""A bidirectional LSTM between dense layers (Uhlich et al. 2017, Stöter et al. 2019)."""
