"""Who uses batchers, what stands idle, and budgets."""
