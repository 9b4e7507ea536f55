"""Policies as people declare them."""
