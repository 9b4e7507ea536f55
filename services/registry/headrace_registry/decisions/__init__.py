"""Values and rules of the registry: pure functions of data and time."""
