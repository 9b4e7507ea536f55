"""What is decided about rollouts, as functions of values and time."""
