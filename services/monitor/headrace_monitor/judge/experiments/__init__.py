"""Experiments: which variant is better for people."""
