"""What answers when the version of a route does not: the ladder of its fallbacks."""
