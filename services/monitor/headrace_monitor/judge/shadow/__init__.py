"""Answers beside those of shadows: what of them differs, merged by the hour, reported when asked for."""
