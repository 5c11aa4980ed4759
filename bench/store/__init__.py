"""All that lies in the folder of runs: what cells leave, and what is read back from it."""
