"""How estimates are measured: one set of signals, one track by a named protocol, many tracks."""
