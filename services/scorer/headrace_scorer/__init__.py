"""Scorer: tables of any size scored by a registered version, each row exactly once."""
