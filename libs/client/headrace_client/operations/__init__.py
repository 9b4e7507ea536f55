"""What clients can do, by subject; each function is a generator that either client runs."""
