"""Autoscaler: enough replicas of each pool, and why."""
