"""Loading registered versions and running batches of rows with them: model files, backends, warm-up."""
