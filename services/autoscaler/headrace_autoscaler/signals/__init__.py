"""Replicas and load of each pool."""
