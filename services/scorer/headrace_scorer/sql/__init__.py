"""SQL of the scorer."""
