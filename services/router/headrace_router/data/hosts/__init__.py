"""Hosts of the predictor: what speaks a transport, and nothing else."""
