"""Windows: rows of the prediction log, summarised on a reference's bins by hour; mergeable, exact after a restart."""
