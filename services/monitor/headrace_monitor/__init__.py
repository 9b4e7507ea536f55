"""What became of predictions: every one accounted for, drift and performance judged with stated error rates."""

import headrace_servicekit  # noqa: F401  (before gRPC, which asks how to behave when it is imported)
