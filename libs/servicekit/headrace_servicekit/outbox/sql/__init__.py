"""SQL of the outbox: queries, and tables that a service includes in its migrations."""
