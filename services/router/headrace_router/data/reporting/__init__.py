"""What the data plane tells the monitor: counters every second, and every prediction in numbered batches.

Nothing of it is ever waited for by a request: on its way a prediction is appended to a list, and that is all.
"""
