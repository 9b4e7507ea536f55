"""Backup and restore: the database's content as lines of JSON, and the files that versions name."""
