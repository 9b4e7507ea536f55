"""Values and rules of publishes: pure functions of data and time."""
