"""What was the monitor's until 0.1.0 and is the router's: usage, budgets and rate limits, for one release."""
