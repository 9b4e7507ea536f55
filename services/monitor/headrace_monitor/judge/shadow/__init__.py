"""Comparison of answers with those of shadows: differences, merged by the hour and reported on request."""
