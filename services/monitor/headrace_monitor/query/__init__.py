"""SQL over the prediction log: what a caller may see, as views, in a process that has nothing else."""
