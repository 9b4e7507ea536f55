"""Performance of predictions: the log joined with outcomes, and measures, alarms and error slices from it."""
