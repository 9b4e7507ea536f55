"""Where the registry keeps models, versions and their history: one Protocol, kept in PostgreSQL or in memory."""
