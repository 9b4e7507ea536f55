"""Coordination of loops, and of replicas over one database."""
