"""The rules of budgets and of idle time. Pure."""
