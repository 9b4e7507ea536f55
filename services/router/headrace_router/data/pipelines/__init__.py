"""Pipelines: versions whose steps run at batchers, one after the other or beside each other."""
