"""What became of predictions: every one accounted for, drift and performance judged with stated error rates."""
