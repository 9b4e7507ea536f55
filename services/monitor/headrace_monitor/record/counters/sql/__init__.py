"""The SQL of counters."""
