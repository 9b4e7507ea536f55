"""Summarise rows of the log on the frozen bins of a reference. Pure."""
