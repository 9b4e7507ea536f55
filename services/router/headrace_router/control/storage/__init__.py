"""Where the control plane's state outlives it: one contract, kept in memory for tests and in PostgreSQL."""
