"""How good predictions were: the log joined with outcomes, and what follows from it."""
