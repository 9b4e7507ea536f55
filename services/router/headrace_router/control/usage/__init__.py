"""Who uses batchers, what stands idle, budgets and rate limits."""
