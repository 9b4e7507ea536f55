"""Drift evaluations: scheduled ones, each made once, and those on request."""
