"""From an experiment file to finished cells: what must be run, where it runs, what it leaves."""
