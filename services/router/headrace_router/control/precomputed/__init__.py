"""Precomputed answers: publishes, their rows in Valkey, what counts, and the removal of what no longer does."""
