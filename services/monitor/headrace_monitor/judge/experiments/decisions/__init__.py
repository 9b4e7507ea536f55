"""What is decided about experiments. Pure."""
