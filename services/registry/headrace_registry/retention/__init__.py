"""Removing what nothing needs any more."""
