"""What is counted, logged and traced of predictions, off the request's path."""
