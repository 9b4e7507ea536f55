"""Pipelines: versions that are made of others. What they are, what is wrong with one, the graphs of their combiners."""
