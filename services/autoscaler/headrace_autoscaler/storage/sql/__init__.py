"""Queries and migrations of the autoscaler."""
