"""Queries on schedules."""
