"""A scikit-learn pipeline from its pickle to a smaller, faster version in production."""
