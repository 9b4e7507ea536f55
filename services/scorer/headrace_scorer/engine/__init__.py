"""The engine reads, scores and writes rows in separate processes: the service imports neither Ray nor Arrow."""
