"""Executing small versions in this process, where that is cheaper than through Triton."""
