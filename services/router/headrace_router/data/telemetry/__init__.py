"""What is counted, logged and traced of predictions; nobody waits for it."""
