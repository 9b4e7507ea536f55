"""Rules of the prediction log: missing batches, sampling, class names. Pure."""
