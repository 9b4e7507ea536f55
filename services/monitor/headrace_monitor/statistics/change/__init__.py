"""Has the model itself become worse? With labels: the error rate as it comes. Before: an estimate from scores."""
