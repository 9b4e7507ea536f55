"""Where the control plane's state outlives it: one contract, in memory for tests and in PostgreSQL."""
