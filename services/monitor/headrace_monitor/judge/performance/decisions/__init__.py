"""Join rows of the log with outcomes, summarise them, and compute measures, alarms and error slices. Pure."""
