"""Protos to values and back; what a page of them is."""
