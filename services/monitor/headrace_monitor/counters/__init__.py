"""What data planes counted: exact differences of cumulative counters, in windows of a minute, merged when asked."""
