"""Decide which reported outcome counts, and which prediction an entity's outcome belongs to. Pure."""
