"""The program of a process that runs code which somebody uploaded: `worker.py`, and what it imports from beside it."""
