import headrace_servicekit  # noqa: F401  (before gRPC, which asks how to behave when it is imported)
