"""What is decided about the steps of a pipeline: pure functions of plan, states, estimates and time."""
