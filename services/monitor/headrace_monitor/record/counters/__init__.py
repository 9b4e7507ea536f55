"""Counters of data planes: exact differences of cumulative totals, by the minute, summed when asked for."""
