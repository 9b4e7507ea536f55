"""Finding serving settings for an objective, with few measurements."""
