"""Queries on publishes."""
