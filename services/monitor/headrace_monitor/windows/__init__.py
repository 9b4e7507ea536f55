"""Rows of the prediction log summarised on frozen edges, by hour: mergeable, exact after a restart."""
