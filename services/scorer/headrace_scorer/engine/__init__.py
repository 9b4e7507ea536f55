"""What reads, scores and writes rows: processes beside the service, which itself imports neither Ray nor Arrow."""
