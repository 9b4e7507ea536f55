"""Drift, data quality and performance from mergeable summaries.

Numpy and scipy only, no I/O, no clock, and no exception on odd data.
"""
