"""What there is of each pool, and what is asked of it."""
