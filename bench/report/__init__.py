"""Reports: rows, intervals, tables, figures and pages, from the scores of a snapshot.

Nothing is separated or scored here. The modules in the order of the data: statistics, rows, layout,
tabulate, then prose, plots and cost, then the formats, then write and verify.
"""
