"""What answers when the version of a route does not: the fallback chain of its fallbacks."""
