"""Running batches on a backend and settling every request in them; no I/O but that backend's."""
