"""What became of predictions: outcomes as they are told, and the predictions that they belong to."""
