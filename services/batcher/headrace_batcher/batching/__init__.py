"""Forming batches and settling those who wait for them; no I/O but the backend given to it."""
