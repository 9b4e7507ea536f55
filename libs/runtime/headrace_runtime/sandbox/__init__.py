"""The program of a process that runs uploaded code: `worker.py`, and its imports from this folder."""
