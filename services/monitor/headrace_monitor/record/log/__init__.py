"""The prediction log: batches made durable, decoded with their versions' contracts, kept as Parquet by hour."""
