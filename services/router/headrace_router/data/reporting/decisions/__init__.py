"""What is decided about reports: pure functions of what was answered, of the budget and of time."""
