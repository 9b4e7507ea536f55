"""Queries on publications."""
