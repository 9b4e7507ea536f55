"""The schema, one migration per part."""
