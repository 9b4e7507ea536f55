"""The registry: the source of truth for which versions of a model exist and which of them is in production."""
