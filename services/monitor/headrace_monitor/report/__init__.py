"""One HTML page about a model, that needs nothing else."""
