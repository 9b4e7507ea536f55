"""Sketches that stand for the values of a window: bounded, mergeable in any order, exact where it says so."""
