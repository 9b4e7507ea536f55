"""The registry: the source of truth for which versions of a model exist and which of them is in production."""

import headrace_servicekit  # noqa: F401  (before gRPC, which asks how to behave when it is imported)
